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
	if err := e.fillTable(ctx, d.table, many); err != nil {
		return nil, err
	}
	if err := d.site(ctx, waits); err != nil {
		return nil, err
	}
	serial := int64(0)
	costs := func(n, rounds int) (all []flushCost, err error) {
		for range rounds {
			serial++
			cost, err := e.flushRound(ctx, d, n, serial)
			if err != nil {
				return nil, err
			}
			all = append(all, cost)
		}
		return all, nil
	}
	small, err := costs(few, rounds)
	if err != nil {
		return nil, err
	}
	all, err := costs(many, 1)
	if err != nil {
		return nil, err
	}
	large := all[0]
	memory, err := resident(d.PID(), "VmHWM")
	if err != nil {
		return nil, err
	}
	after, err := costs(few, rounds)
	if err != nil {
		return nil, err
	}
	small = append(small, after...)
	raw, err := e.rawMillion(ctx, many, few, rounds)
	if err != nil {
		return nil, err
	}
	return millionLines(memory, large, small, raw), d.Stop()
}

// millionLines are what was measured: the memory in MB, the cost of a ticket in many and in few, and the ratio of raw upserts.
func millionLines(memory float64, large flushCost, small []flushCost, raw float64) []line {
	ratios := make([]float64, len(small))
	for i, cost := range small {
		ratios[i] = cost.rate / large.rate
	}
	own := medianOf(small, func(c flushCost) float64 { return c.own })
	mariadb := medianOf(small, func(c flushCost) float64 { return c.mariadb })
	return []line{
		{
			what: "1,000,000 dirty tickets: highest memory", value: round.SpreadOf([]float64{memory}), unit: "MB",
			target: target{atMost: 100},
		},
		{
			what:  "1,000,000 dirty tickets: claim, flush and ack of one",
			value: round.SpreadOf(ratios), unit: "× of that in 10,000",
			target: target{atMost: 1.3},
			notes: []string{
				fmt.Sprintf("%.1f µs each, and %.1f µs in 10,000",
					1e6/large.rate, 1e6/medianOf(small, func(c flushCost) float64 { return c.rate })),
				fmt.Sprintf("processor time in Redis and the daemon: %.1f µs each, %.2f × of that in 10,000", large.own, large.own/own),
				fmt.Sprintf("processor time in MariaDB: %.1f µs each, %.2f × of that in 10,000", large.mariadb, large.mariadb/mariadb),
				fmt.Sprintf("raw upserts of 1,000 rows, which ask nothing but MariaDB: %.2f × of the time in 10,000", raw),
			},
		},
	}
}

// fillTable makes sure that a table has the tickets 1 … n, so that what follows changes rows and inserts none.
func (e *env) fillTable(ctx context.Context, table string, n int) error {
	_, err := e.db.ExecContext(ctx, fmt.Sprintf(
		"INSERT IGNORE INTO %s (ticket_id, status) SELECT seq, 'new' FROM seq_1_to_%d", table, n))
	if err != nil {
		return fmt.Errorf("filling the table: %w", err)
	}
	return nil
}

// rawMillion is what a row costs in upserts of many rows against the same in few: the part of the ratio that is MariaDB's.
func (e *env) rawMillion(ctx context.Context, many, few, rounds int) (float64, error) {
	if err := e.fillTable(ctx, plainTable, many); err != nil {
		return 0, err
	}
	r := &rawRows{env: e, serial: 1_000_000} // above what the row flush has written
	const batch = 1000
	rate := func(n int) (float64, error) {
		sample, err := r.side("", n, batch).Run(ctx)
		return sample.Value, err
	}
	var small []float64
	for range rounds {
		one, err := rate(few)
		if err != nil {
			return 0, err
		}
		small = append(small, one)
	}
	large, err := rate(many)
	return round.SpreadOf(small).Median / large, err
}
