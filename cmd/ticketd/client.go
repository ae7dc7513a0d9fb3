package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/ticketd/ticketd/protocol"
)

// call dials the daemon, runs f within the time-out, and closes. A time-out of zero is none.
func (o *options) call(ctx context.Context, f func(context.Context, *protocol.Client) error) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no answer within %v (--timeout)", o.timeout))
		defer cancel()
	}
	client, err := protocol.Dial(ctx, o.socket)
	if err != nil {
		return o.explain(err)
	}
	defer func() { _ = client.Close() }()
	client.Site = o.site
	if err := f(ctx, client); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// noteStale says beside the answer what it may lack.
func (o *options) noteStale(stale bool, locked []int64) {
	switch {
	case len(locked) > 0:
		fmt.Fprintf(o.err, "others hold rows locked in MySQL: the latest changes of tickets %v are missing from this\n", locked)
	case stale:
		fmt.Fprintln(o.err, "Redis does not answer: changes that are pending there may be missing here")
	}
}

// explain adds to a failed dial what to do about it.
func (o *options) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no daemon listens on %s: start it with 'systemctl start ticketd' or 'ticketd serve', "+
			"or name its socket with --socket", o.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon listens on %s: start it again and look at its log", o.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not use %s: run this as root, or as a member of the socket's group", o.socket)
	default:
		return err
	}
}
