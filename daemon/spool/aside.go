package spool

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// Aside is an acknowledged set or deletion that waited in another place than the spool and is older than the ticket with its
// id.
type Aside struct {
	Site, Identity string // of the table; an empty Identity is unknown
	Mutation       *store.Mutation
	At             time.Time // when the change was acknowledged
}

// SetAside puts a change into bad/ of the folder of the daemon's own user, as a client's spool file, beside
// [daemon.ErrPredates] as the reason, and returns the file's name. Without an error, file and reason are on disk. A
// repetition makes no second file.
func (s *Spool) SetAside(a *Aside) (name string, err error) {
	name, frame, err := a.file()
	if err != nil {
		return "", fmt.Errorf("writing the change as a file of the spool: %w", err)
	}
	own := strconv.Itoa(os.Geteuid())
	s.mu.Lock()
	l := s.lanes[own]
	s.mu.Unlock()
	if l == nil {
		return "", fmt.Errorf("there is no spool folder %s", s.pathOf(own))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.folder == nil {
		return "", fmt.Errorf("the spool folder %s cannot be used now", s.pathOf(own))
	}
	if err := l.folder.setAside(name, frame); err != nil {
		return "", fmt.Errorf("%s/%s: %w", l.folder.path, badName, err)
	}
	return name, nil
}

// lateMark ends the request id of a late file, because the stores already count the change's own request id as done.
const lateMark = "#late"

// file returns the change's name and content, the same in each call.
func (a *Aside) file() (name string, frame []byte, err error) {
	m := a.Mutation
	change := protocol.Change{Target: protocol.Target{Site: a.Site}, Identity: a.Identity, RequestID: "1"}
	if frame, err = a.request(&change); err != nil {
		return "", nil, err
	}
	sum := sha256.Sum256(strconv.AppendInt(append(frame, m.RequestID...), a.At.UnixMicro(), 10))
	digits := hex.EncodeToString(sum[:])
	change.RequestID = m.RequestID + lateMark
	if m.RequestID == "" || len(change.RequestID) > protocol.MaxName {
		change.RequestID = digits[:2*nameDigits] + lateMark
	}
	frame, err = a.request(&change)
	name = fmt.Sprintf("%0*d-%d-%s%s", stampDigits, a.At.UnixMicro(), m.ID, digits[:nameDigits], suffix)
	return name, frame, err
}

// nameDigits is the number of random digits in a file's name.
const nameDigits = 16

func (a *Aside) request(change *protocol.Change) (frame []byte, err error) {
	m := a.Mutation
	var method protocol.Method
	var p protocol.Params
	if m.Kind == store.Delete {
		method, p = protocol.MethodDelete, &protocol.DeleteParams{Change: *change, ID: int64(m.ID)}
	} else {
		method, p = protocol.MethodSet, &protocol.SetParams{
			Change: *change, ID: int64(m.ID), Fields: toWire(m.Fields), MustExist: m.MustExist,
		}
	}
	var e protocol.Encoder
	frame, err = e.Request(1, method, p)
	return bytes.Clone(frame), err
}

func toWire(fields ticket.Fields) []protocol.Field {
	wire := make([]protocol.Field, len(fields))
	for i, f := range fields {
		wire[i] = protocol.Field{Name: f.Name, Value: protocol.Null}
		if !f.Value.IsNull() {
			wire[i].Value = protocol.Text(f.Value.Text())
		}
	}
	return wire
}

// setAside writes a file into bad/: first the complete file, then its reason.
func (f *folder) setAside(name string, frame []byte) error {
	draft := unwritten + name
	err := f.write(draft, frame)
	if err == nil {
		err = f.bad.move(f.fd(), draft, name)
	}
	if err != nil {
		_ = f.remove(draft) // sweep removes a draft that stays
	}
	if err != nil && !errors.Is(err, unix.EEXIST) { // EEXIST: set aside before
		return err
	}
	return f.bad.writeReason(name, name, daemon.ErrPredates)
}

// write makes a file that only the daemon may change, and syncs the file to disk.
func (f *folder) write(name string, content []byte) error {
	const mode = 0o640
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(f.fd(), name, flags, mode)
	if err != nil {
		return fmt.Errorf("making a file: %w", err)
	}
	file := os.NewFile(uintptr(fd), name)
	_, err = file.Write(content)
	return errors.Join(err, file.Sync(), file.Close())
}
