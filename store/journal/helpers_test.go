package journal

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// rig is a journal in a folder, with a clock that the test moves.
type rig struct {
	*Store
	dir  string
	opts Options
	now  time.Time
}

func newRig(t *testing.T, o Options) *rig {
	t.Helper()
	r := &rig{dir: t.TempDir(), opts: o, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	r.opts.Now = func() time.Time { return r.now }
	r.open(t)
	t.Cleanup(func() {
		if r.Store != nil { // nil: Open has failed
			r.close(t)
		}
	})
	return r
}

func (r *rig) open(t *testing.T) wal.Report {
	t.Helper()
	var report wal.Report
	var err error
	if r.Store, report, err = Open(t.Context(), r.dir, r.opts); err != nil {
		t.Fatalf("Open: %v", err)
	}
	return report
}

func (r *rig) close(t *testing.T) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func (r *rig) reopen(t *testing.T) {
	t.Helper()
	r.close(t)
	r.open(t)
}

func (r *rig) mutation(id ticket.ID, status string) store.Mutation {
	return store.Mutation{
		Kind: store.Set, ID: id, Proposed: ticket.Revision(r.now.UnixMicro()), Due: r.now,
		Fields: ticket.Fields{{Name: "status", Value: ticket.Text(status)}},
	}
}

func (r *rig) apply(t *testing.T, m store.Mutation) store.Outcome {
	t.Helper()
	outcomes, err := r.Apply(t.Context(), []store.Mutation{m})
	if err != nil || outcomes[0].Err != nil {
		t.Fatalf("Apply: %v, %+v", err, outcomes)
	}
	return outcomes[0]
}

func (r *rig) set(t *testing.T, id ticket.ID, status string) ticket.Revision {
	t.Helper()
	return r.apply(t, r.mutation(id, status)).Revision
}

func (r *rig) ack(t *testing.T, id ticket.ID, revision ticket.Revision) {
	t.Helper()
	if err := r.Ack(t.Context(), []store.Receipt{{ID: id, Revision: revision}}); err != nil {
		t.Fatalf("Ack: %v", err)
	}
}

func (r *rig) park(t *testing.T, id ticket.ID, revision ticket.Revision) {
	t.Helper()
	l := ticket.Letter{ID: id, Revision: revision, Code: 1406, Reason: "Data too long", At: r.now}
	if err := r.Park(t.Context(), []ticket.Letter{l}); err != nil {
		t.Fatalf("Park: %v", err)
	}
}

// cleanUp gives back all the space that there is to give back.
func (r *rig) cleanUp(t *testing.T) {
	t.Helper()
	for range 10_000 {
		more, err := r.clean()
		if err != nil {
			t.Fatalf("clean: %v", err)
		}
		if !more {
			return
		}
	}
	t.Fatal("cleaning does not end")
}

// waiting describes everything that waits: all that must outlive a restart.
func (r *rig) waiting(t *testing.T) map[ticket.ID]string {
	t.Helper()
	found := map[ticket.ID]string{}
	ids, err := r.DirtyIDs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	letters, err := r.Letters(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for i := range letters {
		l := &letters[i]
		ids = append(ids, l.ID)
		l.At = l.At.UTC()
		found[l.ID] = fmt.Sprintf("dead: %d %s %v; ", l.Code, l.Reason, l.At)
	}
	claims, err := r.ClaimIDs(t.Context(), r.now, ids, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range claims {
		c := &claims[i]
		found[c.ID] += fmt.Sprintf("%d %v %d %v %v", c.Revision, c.Deleted, c.Created, c.Since.UTC(), c.Fields)
	}
	return found
}

func wantSame(t *testing.T, got, want map[ticket.ID]string) {
	t.Helper()
	if maps.Equal(got, want) {
		return
	}
	for _, id := range slices.Sorted(maps.Keys(want)) {
		if got[id] != want[id] {
			t.Errorf("ticket %d is\n%s, want\n%s", id, got[id], want[id])
		}
	}
	for id := range got {
		if _, wanted := want[id]; !wanted {
			t.Errorf("ticket %d waits: %s", id, got[id])
		}
	}
	t.FailNow()
}

// disk opens real files on a disk that may be full or fail.
type disk struct {
	mu        sync.Mutex
	full      bool
	failSyncs int
}

func (d *disk) set(full bool, failSyncs int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full, d.failSyncs = full, failSyncs
}

func (d *disk) open(path string) (wal.File, error) {
	f, err := wal.OpenFile(path)
	if err != nil {
		return nil, err
	}
	return &file{File: f, disk: d}, nil
}

type file struct {
	wal.File
	disk *disk
}

func (f *file) WriteAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.full {
		n, _ := f.File.WriteAt(p[:len(p)/2], at)
		return n, &os.PathError{Op: "write", Err: syscall.ENOSPC}
	}
	return f.File.WriteAt(p, at)
}

func (f *file) Datasync() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.failSyncs > 0 {
		f.disk.failSyncs--
		return &os.PathError{Op: "fdatasync", Err: syscall.EIO}
	}
	return f.File.Datasync()
}
