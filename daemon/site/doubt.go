package site

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ticketd/ticketd/sync/flush"
)

const (
	// patience is the shortest wait that proves that MySQL does not answer.
	patience = 200 * time.Millisecond
	// doubtPause is the time without look-ups after a look-up without an answer.
	doubtPause = time.Second
)

// doubt bounds the cost of a hanging MySQL for the readers of a site: the first look-up without an answer takes the request's
// whole time, and later look-ups fail at once. After each pause a single look-up asks again. Any answer ends the doubt.
type doubt struct {
	mu       sync.Mutex
	silent   bool      // the last look-up got no answer
	probing  bool      // a look-up that asks again is under way
	until    time.Time // no look-up asks again before
	answered time.Time // when MySQL answered last
}

// errSilent fails look-ups while MySQL is in doubt.
var errSilent = fmt.Errorf("%w: no answer in time a moment ago", flush.ErrSinkDown)

// ask runs a look-up, or fails at once while MySQL is in doubt. A look-up that ends with ctx has waited for MySQL in vain,
// because the store has answered before.
func (d *doubt) ask(ctx context.Context, look func() error) error {
	if err := d.enter(); err != nil {
		return err
	}
	began := time.Now()
	err := look()
	d.leave(began, err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded))
	return err
}

func (d *doubt) enter() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.silent {
		return nil
	}
	if d.probing || time.Now().Before(d.until) {
		return errSilent
	}
	d.probing = true
	return nil
}

func (d *doubt) leave(began time.Time, inVain bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.probing = false
	if now := time.Now(); inVain && now.Sub(began) >= patience && d.answered.Before(began) {
		d.silent, d.until = true, now.Add(doubtPause)
	}
}

// end says that MySQL has answered, even with an error.
func (d *doubt) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent, d.answered = false, time.Now()
}
