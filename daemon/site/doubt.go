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
	// patience is the shortest wait that says something of MySQL: a request that had less time proves nothing.
	patience = 200 * time.Millisecond
	// doubtPause is how long no look-up asks MySQL after one that got no answer.
	doubtPause = time.Second
)

// doubt bounds what a MySQL that hangs costs the readers of a site: the first look-up without an answer costs its request's time,
// the others fail at once. One look-up at a time asks again, after a pause; any answer ends the doubt.
type doubt struct {
	mu       sync.Mutex
	silent   bool      // the last look-up got no answer
	probing  bool      // one that asks again is under way
	until    time.Time // none asks again before
	answered time.Time // when MySQL answered last
}

// errSilent ends look-ups that need not wait to know that there is no answer.
var errSilent = fmt.Errorf("%w: it did not answer in time a moment ago", flush.ErrSinkDown)

// ask runs one look-up, or fails at once while MySQL is in doubt. A look-up that ends with ctx has waited for MySQL in vain, as
// the store has answered before it.
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

// end says that MySQL has answered, be it with an error.
func (d *doubt) end() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.silent, d.answered = false, time.Now()
}
