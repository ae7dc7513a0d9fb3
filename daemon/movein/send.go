package movein

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// The pauses between tries while the daemon is not able to take tickets, doubled each time: about 25 s in all.
const (
	tries      = 8
	firstPause = 200 * time.Millisecond
)

// send sets tickets through the daemon, but for those that exist with other values.
func (r *run) send(ctx context.Context, hashes []found) error {
	if len(hashes) == 0 {
		return nil
	}
	ids := make([]int64, len(hashes))
	for i := range hashes {
		ids[i] = int64(hashes[i].id)
	}
	var existing protocol.GetManyResult
	err := again(ctx, func() (err error) {
		existing, err = r.Tickets.GetMany(ctx, ids)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking the daemon for tickets: %w", err)
	}
	var sent []found
	for i := range hashes {
		h := &hashes[i]
		differ := different(h, existing.Tickets[i])
		switch {
		case existing.Tickets[i] != nil && len(differ) == 0:
			r.sum.Unchanged++
			r.sum.Highest = max(r.sum.Highest, h.id)
		case existing.Tickets[i] != nil && !r.Overwrite:
			err = r.refuse(h, differ[0], "the ticket exists and differs in "+strings.Join(differ, ", ")+
				"; --overwrite takes the hash's values")
		default:
			sent = append(sent, *h)
		}
		if err != nil {
			return err
		}
	}
	return r.set(ctx, sent)
}

// set sets tickets.
func (r *run) set(ctx context.Context, hashes []found) error {
	if r.DryRun {
		r.sum.Set += len(hashes)
		return nil
	}
	if len(hashes) == 0 {
		return nil
	}
	tickets := make([]protocol.TicketFields, len(hashes))
	for i := range hashes {
		tickets[i] = protocol.TicketFields{ID: int64(hashes[i].id), Fields: toWire(&hashes[i])}
	}
	var outcomes []protocol.SetOutcome
	err := again(ctx, func() (err error) { // the same values once more do no harm
		outcomes, err = r.Tickets.SetMany(ctx, tickets, "")
		return err
	})
	if err != nil {
		return fmt.Errorf("sending tickets to the daemon: %w", err)
	}
	for i, outcome := range outcomes {
		if outcome.Err != nil {
			if err := r.refuse(&hashes[i], outcome.Err.Field, outcome.Err.Message); err != nil {
				return err
			}
			continue
		}
		r.sum.Set++
		r.sum.Highest = max(r.sum.Highest, hashes[i].id)
	}
	return nil
}

// again calls f until the daemon is able to answer.
func again(ctx context.Context, f func() error) error {
	pause := firstPause
	for try := 1; ; try++ {
		err := f()
		var refused *protocol.Error
		if err == nil || try == tries || !errors.As(err, &refused) || !refused.Retryable || refused.Closing {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(pause):
		}
		pause *= 2
	}
}

func toWire(h *found) []protocol.Field {
	fields := make([]protocol.Field, len(h.fields))
	for i, f := range h.fields {
		fields[i] = protocol.Field{Name: f.Name, Value: protocol.Null}
		if !f.Value.IsNull() {
			fields[i].Value = protocol.Text(f.Value.Text())
		}
	}
	return fields
}

// different names the fields that a ticket has otherwise.
func different(h *found, t *protocol.Ticket) []string {
	if t == nil {
		return nil
	}
	var names []string
	for _, f := range h.fields {
		i := slices.IndexFunc(t.Fields, func(have protocol.Field) bool { return have.Name == f.Name })
		if i < 0 && f.Value.IsNull() {
			continue
		}
		if i < 0 || t.Fields[i].Value.IsNull() != f.Value.IsNull() || t.Fields[i].Value.Text() != f.Value.Text() {
			names = append(names, f.Name)
		}
	}
	return names
}
