package outbox_test

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// disk loses with the power what no Datasync has covered.
type disk struct {
	mu     sync.Mutex
	synced map[string]int64 // bytes of each file
}

type diskFile struct {
	wal.File
	disk *disk
	path string
}

func (d *disk) open(path string) (wal.File, error) {
	f, err := wal.OpenFile(path)
	return &diskFile{f, d, path}, err
}

func (f *diskFile) Datasync() error {
	final := strings.TrimSuffix(f.path, ".tmp") // a new segment gets its name when it is complete
	info, err := os.Stat(final)
	if err != nil {
		info, err = os.Stat(f.path)
	}
	if err != nil {
		return err
	}
	if err := f.File.Datasync(); err != nil {
		return err
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.synced[final] = info.Size()
	return nil
}

// losePower cuts the files of a folder back to what is on disk. It is called while nothing has them open.
func (d *disk) losePower(t *testing.T, dir string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	for path, size := range d.synced {
		if filepath.Dir(path) != dir {
			continue
		}
		if err := os.Truncate(path, size); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
}

// occupy makes the key of a ticket something that is no hash, so that its changes are stuck.
func (h *harness) occupy(t *testing.T, id ticket.ID) (free func()) {
	t.Helper()
	key := h.key(id)
	if err := h.client.Set(t.Context(), key, "not a ticket", 0).Err(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := h.client.Del(t.Context(), key).Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// The power fails while a change is stuck and tried again and again. What was acknowledged is on disk, and what came back of the
// journal is made; changes that are accepted after the restart are made, too. (Where the copies of
// the stuck change are not on disk before the next replay uses up the number of the last one, it is lost.)
func TestPowerFailsWhileAChangeIsStuck(t *testing.T) {
	t.Parallel()
	d := &disk{synced: map[string]int64{}}
	h := start(t, &harness{openFile: d.open})
	free := h.occupy(t, 1)
	h.next.away.Store(true)
	h.set(t, 1, "stuck")
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "the change was tried several times", func() bool { return h.Journal().Tries >= 4 })
	if err := h.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	d.mu.Lock()
	before := maps.Clone(d.synced) // closing brings everything to disk
	d.mu.Unlock()
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	d.synced = before
	d.losePower(t, h.dir)
	h.next.away.Store(true)
	h.open(t)
	h.next.away.Store(true)
	for id := range ticket.ID(4) {
		h.set(t, id+2, "after the restart")
	}
	h.next.away.Store(false)
	free()
	h.drained(t)
	testenv.Eventually(t, 10*time.Second, "the stuck change has arrived", func() bool { return h.Journal().Entries == 0 })
	if got := status(t, h.another(t), 1); got != "stuck" {
		t.Errorf("ticket 1 is %q", got)
	}
	for id := range ticket.ID(4) {
		if got := status(t, h.another(t), id+2); got != "after the restart" {
			t.Errorf("ticket %d is %q", id+2, got)
		}
	}
}

// The reply of a replay is lost in which a change could not be made: sent again it is judged again. (Where its number counts as
// made, the change is forgotten.)
func TestReplyIsLostWhileAChangeIsStuck(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	free := h.occupy(t, 2)
	h.next.away.Store(true)
	h.set(t, 1, "made")
	h.set(t, 2, "older")
	h.set(t, 2, "newer")
	h.set(t, 3, "made")
	g := h.gated()
	h.next.away.Store(false)
	h.Nudge()
	<-g.reached
	close(g.open)
	testenv.Eventually(t, 10*time.Second, "the others' changes have arrived", func() bool { return h.Journal().Entries == 2 })
	free()
	testenv.Eventually(t, 10*time.Second, "the stuck changes have arrived", func() bool { return h.Journal().Entries == 0 })
	for id, want := range map[ticket.ID]string{1: "made", 2: "newer", 3: "made"} {
		if got := status(t, h.another(t), id); got != want {
			t.Errorf("ticket %d is %q, want %q", id, got, want)
		}
	}
}

// Many creates without an id to be had, and a change of another ticket behind them: it does not wait for a pause of each.
func TestStuckCreatesHoldUpNoOther(t *testing.T) {
	t.Parallel()
	const creates = 60
	h := start(t, &harness{ids: &ids{err: errors.New("the leased ids are used up")}})
	h.next.away.Store(true)
	for id := range ticket.ID(creates) {
		if _, err := h.Apply(t.Context(), []store.Mutation{create(id+1, "mine")}); err != nil {
			t.Fatal(err)
		}
		h.stranger(t, id+1)
	}
	h.next.away.Store(false)
	h.Nudge()
	testenv.Eventually(t, 10*time.Second, "all of them were tried", func() bool { return h.Journal().Tries >= creates })
	early := mutation(creates+1, "open")
	early.Early = true
	h.make(t, early)
	testenv.Eventually(t, 10*time.Second, "the other ticket's change is in Redis", func() bool {
		return status(t, h.another(t), creates+1) == "open"
	})
}

// The power takes changes out of the journal that Redis has already: an fsync policy that permits that. Other changes that are
// accepted after the restart are made. (Where their numbers go on from what is left, Redis takes them for those that it has.)
func TestNoSequenceNumberIsUsedTwice(t *testing.T) {
	t.Parallel()
	d := &disk{synced: map[string]int64{}}
	h := start(t, &harness{openFile: d.open, sync: wal.Never})
	h.next.away.Store(true)
	for id := range ticket.ID(5) {
		h.set(t, id+1, "before")
	}
	h.next.away.Store(false)
	h.drained(t)
	h.close(t)
	d.losePower(t, h.dir)
	h.next.away.Store(true)
	h.open(t)
	for id := range ticket.ID(5) {
		h.set(t, id+11, "after")
	}
	h.next.away.Store(false)
	h.drained(t)
	for id := range ticket.ID(5) {
		if got := status(t, h.another(t), id+11); got != "after" {
			t.Errorf("ticket %d is %q", id+11, got)
		}
	}
}
