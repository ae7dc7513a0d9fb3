package mysql

import (
	"context"
	"reflect"
	"sync"
	"time"

	"github.com/ticketd/ticketd/sync/table"
)

const (
	// rereadPause is the least time between two readings of the definition because of something that was refused.
	rereadPause = time.Second
	// rereadTimeout bounds one: a write waits for it.
	rereadTimeout = 500 * time.Millisecond
)

// Reread is for who has refused something by the definition judged, or had it refused by the database: the table may have been
// altered since. It reads the definition again, once for all who ask at a time and at most once a second, so that a stream of refused
// writes costs the database nothing, and returns the one to judge by once more, or nil where that would say the same. Whatever keeps it
// from reading, the refusal then stands.
func (db *DB) Reread(ctx context.Context, judged *table.Definition) *table.Definition {
	if reflect.DeepEqual(db.definition.Load(), judged) {
		db.rereads.do(ctx, rereadPause, func() {
			ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
			defer cancel()
			_, _ = db.LoadDefinition(ctx) // a table that is missing or cannot be used shows at the next flush
		})
	}
	if now := db.definition.Load(); !reflect.DeepEqual(now, judged) {
		return now
	}
	return nil
}

// seldom runs something once for all who ask for it at a time, and not again for a while. The zero value is ready.
type seldom struct {
	mu      sync.Mutex
	ended   time.Time
	running chan struct{} // closed at the end of the run; nil where there is none
}

// do runs f, or waits for the run that is under way, until ctx ends. It returns at once where the last ended less than pause ago.
func (s *seldom) do(ctx context.Context, pause time.Duration, f func()) {
	s.mu.Lock()
	if running := s.running; running != nil {
		s.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
		}
		return
	}
	if time.Since(s.ended) < pause {
		s.mu.Unlock()
		return
	}
	running := make(chan struct{})
	s.running = running
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.ended, s.running = time.Now(), nil
		close(running)
	}()
	f()
}
