package site

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

func TestMissingIsAskedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		get := func() {
			_, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
			wantCode(t, err, protocol.CodeNotFound)
		}
		for range 10 {
			get()
		}
		many, err := d.GetMany(t.Context(), &protocol.GetManyParams{IDs: []int64{7, 7}})
		if err != nil || many.Tickets[0] != nil || many.Tickets[1] != nil {
			t.Errorf("get_many of a missing ticket: %+v (%v)", many, err)
		}
		if _, queries := d.db.counts(); queries != 1 {
			t.Errorf("%d queries for a missing ticket within a second, want 1", queries)
		}
		time.Sleep(missingFor)
		get()
		if _, queries := d.db.counts(); queries != 2 {
			t.Errorf("%d queries after a second, want a second query", queries)
		}
	})
}

// A write ends the time at once, and a write while MySQL is asked keeps the answer from being remembered.
func TestWriteEndsMissing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		_, err := d.Get(t.Context(), &protocol.GetParams{ID: 7})
		wantCode(t, err, protocol.CodeNotFound)
		d.write(t, 7, "open")
		if d.missing.has(7) {
			t.Error("a ticket is taken for missing after a write")
		}

		d.db.delay = 100 * time.Millisecond
		go func() {
			_, err := d.Get(t.Context(), &protocol.GetParams{ID: 8})
			wantCode(t, err, protocol.CodeNotFound) // the ticket was missing when the store was asked
		}()
		synctest.Wait()
		d.write(t, 8, "open")
		time.Sleep(time.Second / 2)
		if d.missing.has(8) {
			t.Error("a ticket that was written while MySQL was asked is taken for missing")
		}
	})
}

func TestMissingIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMissing()
		for id := ticket.ID(1); id <= maxMissing+5; id++ {
			m.add(id, m.before(id))
		}
		if len(m.until) != maxMissing || m.has(5) || !m.has(6) || !m.has(maxMissing+5) {
			t.Errorf("%d entries are remembered, want the newest %d", len(m.until), maxMissing)
		}
		time.Sleep(time.Millisecond)
		m.written(9)
		m.add(9, m.before(9)) // renewed: the old place in the order must not end the entry
		for id := ticket.ID(20_001); id <= 20_100; id++ {
			m.add(id, m.before(id))
		}
		if !m.has(9) || len(m.order) > maxMissing {
			t.Errorf("the renewed entry is remembered: %v; %d in order", m.has(9), len(m.order))
		}
		time.Sleep(missingFor)
		m.add(1, m.before(1))
		if len(m.until) != 1 || len(m.order) != 1 {
			t.Errorf("%d entries are kept too long", len(m.until))
		}
	})
}

// A burst of readers of a ticket that only MySQL has costs a single query.
func TestBurstOfReadersMakesOneQuery(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t)
		d.write(t, 7, "open")
		if err := d.Flusher.TryFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		cold := newDesk(t)
		cold.db.rows, cold.db.delay = d.db.rows, 50*time.Millisecond
		for range 50 {
			go func() {
				got, err := cold.Get(t.Context(), &protocol.GetParams{ID: 7})
				if err != nil || got.ID != 7 {
					t.Errorf("got %+v (%v)", got, err)
				}
			}()
		}
		time.Sleep(time.Second)
		if _, queries := cold.db.counts(); queries != 1 {
			t.Errorf("%d queries, want 1", queries)
		}
	})
}
