package main

import (
	"context"
	"fmt"

	"github.com/ticketd/ticketd/protocol"
)

// dirty has the daemon take one change for each of the tickets 1 to n, serial making its values unlike those of any
// other call.
func (d *daemon) dirty(ctx context.Context, n int, serial int64) error {
	client, err := protocol.Dial(ctx, d.socket)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	for from := 1; from <= n; from += protocol.MaxTickets {
		var tickets []protocol.TicketFields
		for id := from; id <= min(n, from+protocol.MaxTickets-1); id++ {
			tickets = append(tickets, protocol.TicketFields{ID: int64(id), Fields: fourFields(serial)})
		}
		outcomes, err := client.SetMany(ctx, tickets, "")
		if err != nil {
			return err
		}
		for i, o := range outcomes {
			if o.Err != nil {
				return fmt.Errorf("ticket %d: %w", tickets[i].ID, o.Err)
			}
		}
	}
	return nil
}

// waits keeps changes from being flushed before a row asks for it.
const waits = "strategy = \"interval\"\nperiod = \"24h\"\nmax_age = \"168h\""

// backlog fails unless exactly so many tickets wait: a figure about n dirty tickets is worth nothing when they were
// fewer.
func (d *daemon) backlog(ctx context.Context, want int) error {
	status, err := d.status(ctx)
	if err != nil {
		return err
	}
	if status.Dirty != int64(want) {
		return fmt.Errorf("%d tickets wait to be flushed, want %d", status.Dirty, want)
	}
	return nil
}
