package flush_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// Another client holds a row for long: the flusher acks the rest of the batch and later tickets at once, retries the row with
// growing pauses and makes no dead letter. If move treats the row as an error of the batch, no ticket is acked (tried by hand).
func TestALockedRowHoldsUpNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.lock(2, true)
		for id := range 3 {
			d.set(t, ticket.ID(id+1), "status", "open")
		}
		time.Sleep(time.Second)
		backlog, err := d.queue.Backlog(t.Context())
		if err != nil || backlog.Dirty != 1 || backlog.Dead != 0 || d.Stats().Rows() != 2 {
			t.Fatalf("backlog %+v (%v), %d rows; want all flushed but one", backlog, err, d.Stats().Rows())
		}
		tried := d.sink.statements()
		for i := range 60 {
			d.set(t, 2, "status", strconv.Itoa(i)) // pulls the due time nearer, which must not make the flusher spin
			d.set(t, 4, "status", strconv.Itoa(i))
			time.Sleep(time.Second)
			if d.sink.value(4, "status") != strconv.Itoa(i) {
				t.Fatal("another ticket waits for the locked one")
			}
		}
		if n := d.sink.statements() - tried - 60; n < 5 || n > 10 {
			t.Errorf("the locked row was tried %d times in a minute, want pauses that grow to 10 s", n)
		}
		if state, _, _ := d.Stats().Sink(); state != flush.SinkUp {
			t.Errorf("sink is %s, want up", state)
		}
		d.sink.lock(2, false)
		time.Sleep(11 * time.Second)
		if d.sink.value(2, "status") != "59" {
			t.Error("the row is not brought when it is free")
		}
	})
}

// The flusher does not write tickets that shared a claim with a locked ticket together with that ticket again: they no longer
// wait for its lock.
func TestALockedRowIsWrittenApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.lock(1, true)
		d.set(t, 1, "status", "open")
		d.set(t, 2, "status", "open")
		time.Sleep(linger + 5*time.Millisecond)
		if err := d.TryFlush(t.Context()); !errors.Is(err, flush.ErrLocked) {
			t.Fatalf("error %v, want ErrLocked", err)
		}
		d.set(t, 2, "status", "closed")
		d.set(t, 3, "status", "open")
		before := len(d.sink.writes)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := d.Flush(ctx, nil, nil); !errors.Is(err, flush.ErrLocked) {
			t.Fatalf("error %v, want ErrLocked", err)
		}
		if got := d.sink.writes[before:]; len(got) != 2 || got[0] != 2 || got[1] != 1 {
			t.Errorf("writes of %v changes, want the two that are free and then the locked one", got)
		}
	})
}

// TryFlush does not wait for the lock of a row whose pause is not over: it writes all other tickets, names the locked ticket in
// the error, and retries it after the pause.
func TestALockedRowIsNotWaitedForAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.lock(1, true)
		d.set(t, 1, "status", "open")
		var locked *flush.LockedError
		for i := range 3 {
			d.set(t, 2, "status", strconv.Itoa(i))
			before := len(d.sink.writes)
			if err := d.TryFlush(t.Context()); !errors.As(err, &locked) || len(locked.IDs) != 1 || locked.IDs[0] != 1 {
				t.Fatalf("error %v, want a LockedError of ticket 1", err)
			}
			if got := d.sink.writes[before:]; i > 0 && (len(got) != 1 || got[0] != 1 || d.sink.value(2, "status") != strconv.Itoa(i)) {
				t.Errorf("writes of %v changes, want the free one alone", got)
			}
		}
		d.sink.lock(1, false)
		time.Sleep(2 * time.Second)
		if err := d.TryFlush(t.Context()); err != nil || d.sink.value(1, "status") != "open" {
			t.Errorf("error %v, want the ticket brought", err)
		}
	})
}

// The flusher can write no ticket: the state says so, until a write succeeds, not until the tries end.
func TestAllRowsLocked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.sink.lock(1, true)
		d.set(t, 1, "status", "open")
		for range 20 {
			time.Sleep(500 * time.Millisecond)
			if state, _, reason := d.Stats().Sink(); state != flush.SinkDown || reason == "" {
				t.Fatalf("sink is %s (%q), want down with a reason", state, reason)
			}
		}
		d.sink.lock(1, false)
		time.Sleep(11 * time.Second)
		if state, _, _ := d.Stats().Sink(); state != flush.SinkUp || d.Stats().Rows() != 1 {
			t.Errorf("sink is %s, want up", state)
		}
	})
}

// A flush on demand writes all other tickets, and retries a locked row until the row is free.
func TestFlushInsistsOnALockedRow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		for id := range 250 {
			d.set(t, ticket.ID(id+1), "status", "open")
		}
		d.sink.lock(7, true)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if moved, err := d.Flush(ctx, nil, nil); !errors.Is(err, flush.ErrLocked) || moved.Flushed != 249 ||
			time.Since(begin) < time.Minute {
			t.Fatalf("moved %+v (%v) after %v, want the others brought, and ErrLocked only in the end", moved, err, time.Since(begin))
		}
		d.set(t, 1, "status", "closed")
		time.AfterFunc(time.Minute, func() { d.sink.lock(7, false) })
		var done, total int
		moved, err := d.Flush(t.Context(), []ticket.ID{1, 7}, func(n, all int) { done, total = n, all })
		if err != nil || moved.Flushed != 2 || done != 2 || total != 2 {
			t.Errorf("moved %+v (%v), progress %d of %d; want both", moved, err, done, total)
		}
	})
}

// A stopping daemon does not wait for an unreachable sink, a locked row, or a sink that hangs; but it waits for its drain.
func TestHurry(t *testing.T) {
	t.Parallel()
	for name, trouble := range map[string]func(*table){
		"away":    func(s *table) { s.set(fmt.Errorf("connection refused: %w", flush.ErrSinkDown)) },
		"locked":  func(s *table) { s.lock(1, true) },
		"hanging": func(s *table) { s.hang = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, nil)
				trouble(d.sink)
				d.set(t, 1, "status", "open")
				time.AfterFunc(time.Minute, d.Hurry)
				begin := time.Now()
				_, err := d.Flush(t.Context(), nil, nil)
				if took := time.Since(begin); !errors.Is(err, flush.ErrStopping) || took < time.Minute || took > 62*time.Second {
					t.Errorf("error %v after %v, want ErrStopping at once", err, took)
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				begin = time.Now()
				if _, err := d.Drain(ctx); err == nil || errors.Is(err, flush.ErrStopping) || time.Since(begin) < time.Minute {
					t.Errorf("draining: error %v after %v, want it to go on", err, time.Since(begin))
				}
			})
		})
	}
}
