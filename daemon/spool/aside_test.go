package spool

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// own makes the folder of the daemon's user and returns its name.
func (r *rig) own(t *testing.T) string {
	t.Helper()
	name := strconv.Itoa(os.Geteuid())
	check(t, os.MkdirAll(filepath.Join(r.path, name), 0o770))
	check(t, os.Chmod(filepath.Join(r.path, name), 0o770))
	r.takeIn(t)
	return name
}

// putBack moves a file back from bad/ and leaves its reason there, as the reason advises.
func (r *rig) putBack(t *testing.T, folder, name string) {
	t.Helper()
	check(t, os.Rename(filepath.Join(r.path, folder, badName, name), filepath.Join(r.path, folder, name)))
	r.takeIn(t)
}

func unreceived(at time.Time) bool { return at.Equal(time.UnixMicro(int64(store.Unreceived))) }

// A change is set aside in a client's form, once for any number of calls. If an operator moves the file back, the change goes
// to the ticket with the id.
func TestSetAside(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]store.Mutation{
		"set 5 private s#late": {
			Kind: store.Set, ID: 5, RequestID: "s", Fields: ticket.Fields{{Name: "status", Value: ticket.Text("private")}},
		},
		"delete 5 d#late": {Kind: store.Delete, ID: 5, RequestID: "d", Fields: ticket.Fields{{Name: "deleted_at", Value: ticket.Null}}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			own := r.own(t)
			aside := &Aside{Site: "main", Mutation: &m, At: r.clock()}
			var names []string
			for range 2 {
				name, err := r.SetAside(aside)
				check(t, err)
				names = append(names, name)
			}
			r.wantFiles(t, own)
			r.wantFiles(t, filepath.Join(own, badName), names[0])
			if !validName(names[0]) || names[0] != names[1] || !timeOf(names[0]).Equal(aside.At) {
				t.Errorf("files %q", names)
			}
			if status := r.Status(r.site); status.Bad != 1 {
				t.Errorf("status %+v", status)
			}
			reason, err := os.ReadFile(filepath.Join(r.path, own, badName, names[0]+reasonSuffix))
			if err != nil || !strings.Contains(string(reason), daemon.ErrPredates.Message) {
				t.Errorf("the reason is %q (%v)", reason, err)
			}
			r.putBack(t, own, names[0])
			r.wantFiles(t, own)
			r.site.want(t, want)
			if !unreceived(r.site.accepted) {
				t.Errorf("made as of %v", r.site.accepted)
			}
		})
	}
}

// Changes without a client's request id get different ids, so that each change is made.
func TestSetAsideWithoutRequestIDs(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	own := r.own(t)
	names := map[string]bool{}
	for i := range 3 {
		m := store.Mutation{
			Kind: store.Set, ID: 5, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("private")}},
			RequestID: strings.Repeat("r", i*protocol.MaxName/2),
		}
		name, err := r.SetAside(&Aside{Site: "main", Mutation: &m, At: r.clock()})
		check(t, err)
		names[name] = true
		r.putBack(t, own, name)
	}
	if r.site.mu.Lock(); len(names) != 3 || len(r.site.calls) != 3 || r.site.calls[0] == r.site.calls[2] {
		t.Errorf("of %d files %q is made", len(names), r.site.calls)
	}
	r.site.mu.Unlock()
}

// Without room, or without a folder, the caller keeps the change.
func TestSetAsideWithoutRoom(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	m := store.Mutation{Kind: store.Delete, ID: 5}
	if name, err := r.SetAside(&Aside{Site: "main", Mutation: &m, At: r.clock()}); err == nil {
		t.Errorf("set aside as %s, without a folder", name)
	}
	own := r.own(t)
	for i := range maxBadFiles {
		check(t, os.WriteFile(filepath.Join(r.path, own, badName, strconv.Itoa(i)), nil, 0o600))
	}
	r.open(t)
	if name, err := r.SetAside(&Aside{Site: "main", Mutation: &m, At: r.clock()}); !errors.Is(err, errNoRoom) {
		t.Errorf("set aside as %s, without room: %v", name, err)
	}
	if left, err := filepath.Glob(filepath.Join(r.path, own, "*", "*-5-*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v (%v)", left, err)
	}
}

// Moving a file of the spool back confirms the ticket only if the file was set aside as older than its ticket.
func TestPutBackIsMeant(t *testing.T) {
	t.Parallel()
	for refusal, meant := range map[*protocol.Error]bool{
		daemon.ErrPredates:                        true,
		protocol.Invalid("status", "it is wrong"): false,
	} {
		t.Run(string(refusal.Code), func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.site.setFail(func(string) error { return refusal })
			name := r.set(t, "main", 1, "a", "1")
			r.takeIn(t)
			r.wantFiles(t, badName, name)
			r.site.setFail(nil)
			r.putBack(t, "", name)
			r.site.want(t, "set 1 a 1")
			if unreceived(r.site.accepted) != meant || !meant && !r.site.accepted.Equal(timeOf(name)) {
				t.Errorf("made as of %v", r.site.accepted)
			}
		})
	}
}
