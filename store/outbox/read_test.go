package outbox_test

import (
	"context"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// counted changes the field count of ticket 1, under a revision that is so far from now.
func counted(value string, from time.Duration) store.Mutation {
	m := mutation(1, value)
	m.Fields[0].Name = "count"
	m.Proposed += ticket.Revision(from.Microseconds())
	return m
}

// duringRead has do called once, when the next store has answered a read that has not come back yet.
func (h *harness) duringRead(do func()) {
	h.next.onRead.Store(&do)
}

// belongs demands that what was read of ticket 1 is what the next store has, or had, under the revision that was read: a
// conditional change under it must not be made over changes that the reader has not seen.
func (h *harness) belongs(t *testing.T, read store.Record) {
	t.Helper()
	h.drained(t)
	have, err := h.another(t).Get(t.Context(), []ticket.ID{1})
	if err != nil {
		t.Fatal(err)
	}
	saw, _ := read.Fields.Get("count")
	if now, _ := have[0].Fields.Get("count"); have[0].Revision == read.Revision && now.Text() != saw.Text() {
		t.Errorf("read count %q under revision %d, which stands for %q", saw.Text(), read.Revision, now.Text())
	}
}

// A read never shows one revision's fields under the number of another: not where a direct change and then one through the
// journal come while Redis is asked, nor where a change waits in the journal and another one, with a lower number, reaches Redis
// before it. Where changes that wait are put over Redis' answer, the revision read stands for "2" in the end (tried).
func TestRevisionBelongsToItsFields(t *testing.T) {
	t.Parallel()
	for name, waits := range map[string]bool{"nothing waited": false, "a change waited": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, &harness{gather: time.Hour})
			h.restart(t)
			h.make(t, counted("1", 0))
			later := mutation(1, "later")
			later.Early, later.Proposed = true, later.Proposed+ticket.Revision(time.Hour.Microseconds())
			journal := func() {
				if _, err := h.Apply(t.Context(), []store.Mutation{later}); err != nil {
					t.Error(err)
				}
			}
			if waits {
				journal()
			}
			h.duringRead(func() {
				if _, err := h.another(t).Apply(t.Context(), []store.Mutation{counted("2", time.Minute)}); err != nil {
					t.Error(err)
				}
				if !waits {
					journal()
				}
			})
			read := h.get(t, 1)
			if read.Behind || waits && !read.Held() {
				t.Errorf("the record is behind: %+v", read)
			}
			h.belongs(t, read)
		})
	}
}

// What was accepted before a read is in its answer, without the gathering being waited for; where Redis answers but takes no
// changes, the answer holds it too and says that it is behind, as the revision may come to stand for something else.
func TestReadShowsWhatWaits(t *testing.T) {
	t.Parallel()
	for name, takes := range map[string]bool{"Redis takes it": true, "Redis takes no changes": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := start(t, &harness{gather: time.Hour})
			h.restart(t)
			h.make(t, counted("1", 0))
			if !takes {
				h.next.failWith(func(write string) (before, after bool) { return write == "replay", false })
			}
			m := counted("2", 0)
			m.Early = true
			told := h.make(t, m)
			read := h.get(t, 1)
			if value, _ := read.Fields.Get("count"); value.Text() != "2" || read.Revision != told.Revision || read.Behind == takes {
				t.Errorf("read %+v, want count 2 under revision %d, behind %t", read, told.Revision, !takes)
			}
		})
	}
}

// A read of a ticket of which a change waits for a Redis that hangs is answered in time.
func TestReadDoesNotWaitForAHangingReplay(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	h.make(t, counted("1", 0))
	hangs, begun := make(chan struct{}), make(chan struct{}, 1)
	h.next.failWith(func(write string) (before, after bool) {
		if write == "replay" {
			begun <- struct{}{}
			<-hangs
		}
		return false, false
	})
	t.Cleanup(func() { close(hangs) }) // before the outbox is closed
	m := counted("2", 0)
	m.Early = true
	h.make(t, m)
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	records, err := h.Get(ctx, []ticket.ID{1})
	if err != nil || !records[0].Behind {
		t.Fatalf("%+v (%v), want a record that is behind", records, err)
	}
	if value, _ := records[0].Fields.Get("count"); value.Text() != "2" {
		t.Errorf("count is %q", value.Text())
	}
}

// A create that was acknowledged in the journal meets changes of somebody who was told its id: its revision, under which readers
// here have seen the ticket without those changes, is then not the ticket's. Where it is, a conditional change under it is made
// over what its client has not seen (tried).
func TestJoinedCreateHasAnotherRevision(t *testing.T) {
	t.Parallel()
	h := start(t, &harness{ids: &ids{}})
	h.next.away.Store(true)
	m := counted("1", 0)
	m.Kind = store.Create
	told := h.make(t, m)
	if _, err := h.another(t).Apply(t.Context(), []store.Mutation{counted("2", -time.Second)}); err != nil {
		t.Fatal(err)
	}
	read := h.get(t, 1)
	if read.Revision != told.Revision || read.Behind {
		t.Errorf("read %+v, want the create's revision %d", read, told.Revision)
	}
	h.next.away.Store(false)
	h.drained(t)
	change := counted("3", time.Second)
	change.IfRevision = told.Revision
	outcomes, err := h.Apply(t.Context(), []store.Mutation{change})
	if err != nil || outcomes[0].Err == nil {
		t.Errorf("a conditional change under revision %d was made over another host's: %+v (%v)", told.Revision, outcomes, err)
	}
}
