package flush_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// A flush on demand ends with the sink's error when the sink has taken no ticket for the flush's patience, whatever the reason;
// while the sink takes tickets, the flush continues. A drain continues in any case. (Before: the flush waited for ever.)
func TestAFlushHasPatience(t *testing.T) {
	t.Parallel()
	const patience = 2 * time.Second
	for name, c := range map[string]struct {
		trouble func(*table)
		want    error
		most    time.Duration
	}{
		"away":    {func(s *table) { s.set(fmt.Errorf("refused: %w", flush.ErrSinkDown)) }, flush.ErrSinkDown, patience},
		"paused":  {func(s *table) { s.set(fmt.Errorf("no table: %w", flush.ErrSinkPaused)) }, flush.ErrSinkPaused, patience},
		"locked":  {func(s *table) { s.lock(1, true) }, flush.ErrLocked, patience},
		"hanging": {func(s *table) { s.hang = true }, flush.ErrSinkDown, 5 * patience},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := newDesk(t, nil)
				d.quiet(t)
				patient := flush.New(d.queue, d.sink, flush.Options{
					Batch: 1, Lease: 30 * time.Second, Gap: linger, Poll: time.Second, MaxPause: 10 * time.Second, Patience: patience,
					Log: zerolog.Nop(),
				})
				c.trouble(d.sink)
				d.set(t, 1, "status", "open")
				begin := time.Now()
				_, err := patient.Flush(t.Context(), nil, nil)
				if took := time.Since(begin); !errors.Is(err, c.want) || took < patience || took > c.most {
					t.Errorf("error %v after %v, want %v within %v", err, took, c.want, c.most)
				}
			})
		})
	}
}

// Each batch that the sink takes renews the patience.
func TestAFlushThatGetsOnIsPatient(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDesk(t, nil)
		d.quiet(t)
		patient := flush.New(d.queue, d.sink, flush.Options{
			Batch: 1, Lease: 30 * time.Second, Gap: linger, Poll: time.Second, MaxPause: 10 * time.Second, Patience: 2 * time.Second,
			Log: zerolog.Nop(),
		})
		d.sink.set(fmt.Errorf("refused: %w", flush.ErrSinkDown))
		for id := range 4 {
			d.set(t, ticket.ID(id+1), "status", "open")
		}
		time.AfterFunc(1500*time.Millisecond, func() { d.sink.set(nil) })
		moved, err := patient.Flush(t.Context(), nil, func(done, _ int) {
			if done == 2 { // away again, for nearly as long
				d.sink.set(fmt.Errorf("refused: %w", flush.ErrSinkDown))
				time.AfterFunc(1500*time.Millisecond, func() { d.sink.set(nil) })
			}
		})
		if err != nil || moved.Flushed != 4 {
			t.Errorf("moved %+v (%v), want all four", moved, err)
		}
	})
}
