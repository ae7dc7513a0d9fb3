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

// Aside is a set or a deletion that was acknowledged and waited elsewhere than in the spool, and that is older than the ticket
// that has its id.
type Aside struct {
	Site, Identity string // of the table; empty if it is not known
	Mutation       *store.Mutation
	At             time.Time // when it was acknowledged
}

// SetAside puts a change into bad/ of the folder of the daemon's own user, as the file that a client would have left in the
// spool, beside [daemon.ErrPredates] as the reason, and returns the file's name. Without an error both are on the disk. Setting
// the same change aside again is possible, and makes no second file.
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

// lateMark ends the request id of such a file. The stores remember the change's own id as that of a change that was made.
const lateMark = "#late"

// file returns the change's file, which is the same each time.
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

// nameDigits are how many random digits a file's name has.
const nameDigits = 16

// request encodes the change.
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

// setAside writes a file into bad/. The file has its name there when it is complete, and its reason before it counts as set
// aside.
func (f *folder) setAside(name string, frame []byte) error {
	draft := unwritten + name
	err := f.write(draft, frame)
	if err == nil {
		err = f.bad.move(f.fd(), draft, name)
	}
	if err != nil {
		_ = f.remove(draft) // else it is swept
	}
	if err != nil && !errors.Is(err, unix.EEXIST) { // it was set aside before
		return err
	}
	return f.bad.writeReason(name, name, daemon.ErrPredates)
}

// write makes a file that only the daemon may change, and brings it to the disk.
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
