package history

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

const (
	reasonSuffix = ".reason"
	// lateMark ends the request id of a change that did not come from the spool.
	lateMark = "#late"
)

// Bad reads bad/ in a host's spool folders, given as patterns of [filepath.Glob]: the changes that are older than their
// ticket's create, and the number of other files.
func Bad(host int, folders ...string) (late []Aside, others int, err error) {
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "bad", "*"))
		if err != nil {
			return nil, 0, err
		}
		for _, file := range files {
			if strings.HasSuffix(file, reasonSuffix) {
				continue
			}
			reason, err := os.ReadFile(file + reasonSuffix)
			if err != nil || !strings.Contains(string(reason), daemon.ErrPredates.Message) {
				others++
				continue
			}
			one, err := readAside(file)
			if err != nil {
				return nil, 0, fmt.Errorf("%s: %w", file, err)
			}
			one.Host = host
			late = append(late, one)
		}
	}
	return late, others, nil
}

// readAside reads a file of the spool.
func readAside(file string) (one Aside, err error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return one, err
	}
	payload, err := protocol.ReadFrame(bytes.NewReader(content), nil)
	if err != nil {
		return one, err
	}
	req, err := protocol.DecodeRequest(payload)
	if err != nil {
		return one, err
	}
	var set protocol.SetParams
	var remove protocol.DeleteParams
	switch req.Method {
	case protocol.MethodSet:
		err = set.Decode(req.Params)
		one = Aside{Kind: Set, Ticket: set.ID, Request: set.RequestID, Fields: written(set.Fields)}
	case protocol.MethodDelete:
		err = remove.Decode(req.Params)
		one = Aside{Kind: Delete, Ticket: remove.ID, Request: remove.RequestID}
	default:
		err = fmt.Errorf("a %s cannot be older than its ticket", req.Method)
	}
	one.Request = strings.TrimSuffix(one.Request, lateMark)
	return one, err
}

// written are the fields that the workload writes.
func written(fields []protocol.Field) map[string]Value {
	of := make(map[string]Value)
	for _, f := range fields {
		if !slices.Contains(Fields, f.Name) {
			continue
		}
		of[f.Name] = nil
		if text := f.Value.Text(); !f.Value.IsNull() {
			of[f.Name] = &text
		}
	}
	return of
}
