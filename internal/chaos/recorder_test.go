package chaos

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// recorder keeps the events of a run, by one monotonic clock.
type recorder struct {
	start   time.Time
	clients atomic.Int64 // the last number that was given

	mu     sync.Mutex
	ops    []history.Op
	faults []history.Fault
}

func newRecorder() *recorder { return &recorder{start: time.Now()} }

// begin sets the run's start.
func (r *recorder) begin() { r.start = time.Now() }

// now is the time since the run's start.
func (r *recorder) now() time.Duration { return time.Since(r.start) }

// client gives a number that no client has had: a client whose last operation may still happen gets a successor with a new
// number.
func (r *recorder) client() int { return int(r.clients.Add(1)) }

// op keeps an operation that is over.
func (r *recorder) op(op *history.Op) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, *op)
}

// fault keeps a fault that was healed.
func (r *recorder) fault(f history.Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, f)
}
