package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// create puts a create into the spool.
func (r *rig) create(t *testing.T, id int64, requestID string) (name string) {
	t.Helper()
	name = r.name(id)
	r.write(t, name, frame(t, protocol.MethodCreate, &protocol.CreateParams{
		Change: protocol.Change{Target: toMain, RequestID: requestID}, ID: id, Fields: setParams("", id, "open", "").Fields,
	}))
	return name
}

// The id that a create's client received is another ticket's: the create gets the next one, and so do the files behind it. The
// time in a file's name says since when other clients that received the id may have changed the ticket.
func TestCreateWhoseIDIsTaken(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	r.set(t, "main", 7, "the stranger's", "before")
	r.create(t, 7, "r")
	r.set(t, "main", 7, "pending", "s")
	r.set(t, "main", 8, "other", "o")
	r.write(t, r.name(7), frame(t, protocol.MethodDelete, &protocol.DeleteParams{
		Change: protocol.Change{Target: toMain, RequestID: "d"}, ID: 7,
	}))
	r.takeIn(t)
	r.site.want(t, "set 7 the stranger's before", "create 7 r", "create 0 r", "set 100 pending s (of 7)", "set 8 other o",
		"delete 100 d (of 7)")
	r.wantFiles(t, "")
	r.wantLogged(t, 1, "an id that belongs to another ticket")
	r.site.taken = 0
	second := r.create(t, 9, "late")
	r.takeIn(t)
	if !r.site.accepted.Equal(timeOf(second)) {
		t.Errorf("made as of %v, the file is from %v", r.site.accepted, timeOf(second))
	}
}

// The pass ends between a create that got another id and what follows it, for whatever reason, and the daemon too: what follows
// means the create's ticket still. What is acknowledged after the move means the ticket that it names.
func TestChangesFollowAMovedCreateAfterARestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	r.site.fail = func(requestID string) error {
		if requestID == "s" {
			return protocol.Errorf(protocol.CodeOverloaded, "full")
		}
		return nil
	}
	r.create(t, 7, "r")
	r.set(t, "main", 8, "other", "o")
	follows := r.set(t, "main", 7, "pending", "s")
	r.takeIn(t)
	r.wantFiles(t, "", follows)
	r.open(t)
	r.site.setFail(nil)
	r.takeIn(t)
	r.sequence += int(2 * rescanEvery.Microseconds()) // by now the create is moved
	r.set(t, "main", 7, "the stranger's", "after")
	r.takeIn(t)
	r.site.want(t, "create 7 r", "create 0 r", "set 8 other o", "set 100 pending s (of 7)", "set 7 the stranger's after")
}

// Files that are named ahead of the clock, as it was set back, and wait when a create is moved that is older, follow it too.
func TestChangesAheadOfTheClockFollowAMovedCreate(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	r.sequence = 3_600_000_000
	r.create(t, 7, "r")
	r.set(t, "main", 7, "pending", "s")
	r.takeIn(t)
	r.site.want(t, "create 7 r", "create 0 r", "set 100 pending s (of 7)")
}

// A file that is named ahead of the clock waits beside a create that is moved. What another client asks of the id's ticket later
// is that ticket's, though its file's name follows the one ahead. Fails where a move ends at the time of the highest name.
func TestMoveEndsWithTheFilesBesideIt(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	written := func(name string) {
		if err := os.Chtimes(filepath.Join(r.path, name), r.clock(), r.clock()); err != nil {
			t.Fatal(err)
		}
	}
	r.create(t, 7, "r")
	r.sequence += 3_600_000_000
	written(r.set(t, "main", 8, "other", "o"))
	r.takeIn(t)
	r.advance(time.Minute)
	written(r.set(t, "main", 7, "the stranger's", "after"))
	r.takeIn(t)
	r.site.want(t, "create 7 r", "create 0 r", "set 8 other o", "set 7 the stranger's after")
}

// The daemon ends after a create was made under another id, and before that id is on disk. What comes again is known to be the
// create that gets another id: it is not taken for one that had reached the daemon before its file, of which there are two
// tickets.
func TestMoveIsInterrupted(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	r.site.fail = func(string) error {
		if len(r.site.calls) == 1 {
			return protocol.Errorf(protocol.CodeUnavailable, "it is made, and its answer is lost")
		}
		return nil
	}
	r.create(t, 7, "r")
	r.set(t, "main", 7, "pending", "s")
	r.takeIn(t)
	r.site.want(t, "create 7 r")
	r.site.setFail(nil)
	r.site.made = map[string]int64{"r": 100}
	r.open(t)
	r.takeIn(t)
	r.site.want(t, "create 7 r", "create 0 r", "set 100 pending s (of 7)")
	r.wantFiles(t, "")
}

// What cannot be written down is not done: the file waits, and with it what would go to another ticket after a restart.
func TestMoveThatCannotBeWrittenDown(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	if err := os.Mkdir(r.moves+"-", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(r.moves+"-", r.moves); err != nil { // a folder
		t.Fatal(err)
	}
	file, follows := r.create(t, 7, "r"), r.set(t, "main", 7, "pending", "s")
	r.takeIn(t)
	r.wantFiles(t, "", file, follows)
	if err := os.Remove(r.moves); err != nil {
		t.Fatal(err)
	}
	r.takeIn(t)
	r.wantFiles(t, "")
	r.site.want(t, "create 7 r", "create 7 r", "create 0 r", "set 100 pending s (of 7)")
}
