package main

import (
	"context"
	"fmt"

	"github.com/ticketd/ticketd/bench/round"
)

// million is a backlog of a million dirty tickets: the daemon's memory, and what a ticket costs from claim to ack
// against the same in a backlog of ten thousand. The rows are in the table before, so that both change rows and none
// inserts.
func million(ctx context.Context, e *env) ([]line, error) {
	d, err := e.startDaemon(ctx, "million", "unix://"+e.redis.Socket(), "")
	if err != nil {
		return nil, err
	}
	const many, few, rounds = 1_000_000, 10_000, 5
	_, err = e.db.ExecContext(ctx, fmt.Sprintf(
		"INSERT INTO %s (ticket_id, status) SELECT seq, 'new' FROM seq_1_to_%d", d.table, many))
	if err != nil {
		return nil, fmt.Errorf("filling the table: %w", err)
	}
	if err := d.site(ctx, waits); err != nil {
		return nil, err
	}
	serial := int64(0)
	perTicket := func(n int) (float64, error) {
		serial++
		sample, err := e.flushRound(ctx, d, n, serial)
		return 1e6 / sample.Value, err
	}
	var small []float64
	smalls := func() error {
		for range rounds {
			cost, err := perTicket(few)
			if err != nil {
				return err
			}
			small = append(small, cost)
		}
		return nil
	}
	if err := smalls(); err != nil {
		return nil, err
	}
	large, err := perTicket(many)
	if err != nil {
		return nil, err
	}
	memory, err := resident(d.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	if err := smalls(); err != nil {
		return nil, err
	}
	ratios := make([]float64, len(small))
	for i, cost := range small {
		ratios[i] = large / cost
	}
	return []line{
		{
			what: "1,000,000 dirty tickets: highest memory", value: round.SpreadOf([]float64{memory}), unit: "MB",
			target: target{atMost: 100},
		},
		{
			what:  "1,000,000 dirty tickets: claim, flush and ack of one",
			value: round.SpreadOf(ratios), unit: "× of that in 10,000",
			target: target{atMost: 1.3},
			notes:  []string{fmt.Sprintf("%.1f µs each, and %.1f µs in 10,000", large, round.SpreadOf(small).Median)},
		},
	}, d.Stop()
}
