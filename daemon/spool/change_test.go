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

// The id that a create's client received belongs to another ticket: the create gets the next id, and the files behind the
// create follow. The time in a file's name tells since when other clients with the same id may have changed the ticket.
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

// The pass ends, for any reason, and the daemon, too, between a create that got another id and the following files: they
// still belong to the create's ticket. A change acknowledged after the move belongs to the ticket with the id in the change.
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
	r.sequence += int(2 * rescanEvery.Microseconds()) // now the create has moved
	r.set(t, "main", 7, "the stranger's", "after")
	r.takeIn(t)
	r.site.want(t, "create 7 r", "create 0 r", "set 8 other o", "set 100 pending s (of 7)", "set 7 the stranger's after")
}

// Files named ahead of the clock, which was set back, that wait while an older create is moved, follow the create, too.
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

// A file named ahead of the clock waits beside a create that is moved. A later change by another client for the id belongs to
// the id's ticket, although its file's name sorts behind the file ahead of the clock. Fails if a move ends at the time of the
// highest name.
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

// The daemon ends after a create was made under another id and before that id is on disk. The repetition is recognized as a
// create that gets another id. Without that, the repetition would look like a create that had reached the daemon before its
// file, with two tickets.
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

// Without a record on disk the move is not made: the file waits, with all files that would go to another ticket after a
// restart.
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
