package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ticketd/ticketd/bench/round"
)

// flushed is the rate at which dirty tickets come to MySQL, against statements that somebody writes by hand.
func flushed(ctx context.Context, e *env) (lines []line, err error) {
	d, err := e.startDaemon(ctx, "flush", "unix://"+e.redis.Socket(), "")
	if err != nil {
		return nil, err
	}
	if err := d.site(ctx, waits); err != nil {
		return nil, err
	}
	r := &rawRows{env: e}
	const rounds, many, few = 6, 20_000, 300
	const raw = "raw upsert, 1,000 rows"
	var costs []flushCost
	table, err := round.Run(ctx, rounds,
		round.Side{Name: ticketd, Run: func(ctx context.Context) (round.Sample, error) {
			cost, err := e.flushRound(ctx, d, many, r.next())
			costs = append(costs, cost)
			return round.Sample{Value: cost.rate, CPU: cost.own + cost.mariadb}, err
		}},
		r.side(raw, many, 1000),
		r.side("raw upsert, 100 rows", many/4, 100),
		r.side("row by row", few, 1),
		round.Side{Name: "LOAD DATA … REPLACE", Run: func(ctx context.Context) (round.Sample, error) {
			return r.load(ctx, many)
		}},
	)
	if err != nil {
		return nil, err
	}
	batches := rated("flush rate, against the raw upsert", table, ticketd, raw, target{atLeast: 0.8})
	single := withoutSides(rated("flush rate, against row by row", table, ticketd, "row by row", target{atLeast: 30}))
	own := medianOf(costs[1:], func(c flushCost) float64 { return c.own })
	mariadb := medianOf(costs[1:], func(c flushCost) float64 { return c.mariadb })
	batches.notes = []string{
		fmt.Sprintf("processor time of a row that ticketd flushes: %.1f µs in Redis and the daemon, %.1f in MariaDB", own, mariadb),
		fmt.Sprintf("the raw upsert keeps %.2f processors busy, ticketd's flush %.2f",
			table.CPU(raw).Median*table.Value(raw).Median/1e6, table.CPU(ticketd).Median*table.Value(ticketd).Median/1e6),
	}
	return []line{batches, single}, d.Stop()
}

// flushCost is what a flush of many rows cost.
type flushCost struct {
	rate         float64 // rows a second
	own, mariadb float64 // processor time of one row, in µs: of Redis with the daemon, and of MariaDB
}

func medianOf(costs []flushCost, get func(flushCost) float64) float64 {
	values := make([]float64, len(costs))
	for i, c := range costs {
		values[i] = get(c)
	}
	return round.SpreadOf(values).Median
}

// flushRound makes n tickets dirty and measures the flush alone: claim, upsert and ack of all.
func (e *env) flushRound(ctx context.Context, d *daemon, n int, serial int64) (flushCost, error) {
	if err := errors.Join(d.dirty(ctx, n, serial), d.backlog(ctx, n)); err != nil {
		return flushCost{}, err
	}
	own, err1 := cpu(e.redis.PID(), d.PID())
	mariadb, err2 := cpu(e.mariadb.PID())
	begin := time.Now()
	if err := errors.Join(err1, err2, d.flush(ctx)); err != nil {
		return flushCost{}, err
	}
	took := time.Since(begin)
	ownAfter, err1 := cpu(e.redis.PID(), d.PID())
	mariadbAfter, err2 := cpu(e.mariadb.PID())
	return flushCost{
		rate: float64(n) / took.Seconds(),
		own:  perTime(ownAfter-own, n), mariadb: perTime(mariadbAfter-mariadb, n),
	}, errors.Join(err1, err2, d.backlog(ctx, 0))
}

// rowColumns are those of a ticket that ticketd flushes after a write of fourFields.
const rowColumns = " (ticket_id, status, priority, assigned_to, category, updated_at, revision)"

// rawRows writes rows without ticketd.
type rawRows struct {
	env    *env
	serial int64
}

// next makes the values of a round unlike those before: MySQL skips rows that do not change.
func (r *rawRows) next() int64 {
	r.serial++
	return r.serial
}

// side upserts n rows, so many in a statement, each statement one durable commit.
func (r *rawRows) side(name string, n, batch int) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		serial := r.next()
		pids := []int{r.env.mariadb.PID(), os.Getpid()} // of the server and of this client
		before, err := cpu(pids...)
		if err != nil {
			return round.Sample{}, err
		}
		begin := time.Now()
		for from := 1; from <= n; from += batch {
			if _, err := r.env.db.ExecContext(ctx, upsert(from, batch, serial)); err != nil {
				return round.Sample{}, fmt.Errorf("raw upsert: %w", err)
			}
		}
		took := time.Since(begin)
		after, err := cpu(pids...)
		return round.Sample{Value: float64(n) / took.Seconds(), CPU: perTime(after-before, n)}, err
	}}
}

// upsert is the statement for the tickets from … from+rows-1.
func upsert(from, rows int, serial int64) string {
	var s strings.Builder
	s.WriteString("INSERT INTO " + plainTable + rowColumns + " VALUES ")
	for i := range rows {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, "(%d,'pending','high',%d,'printers','%s',%d)", from+i, serial, stamp(serial), serial)
	}
	s.WriteString(" ON DUPLICATE KEY UPDATE status = VALUES(status), priority = VALUES(priority)," +
		" assigned_to = VALUES(assigned_to), category = VALUES(category), updated_at = VALUES(updated_at)," +
		" revision = VALUES(revision)")
	return s.String()
}

// stamp is a time of change, later for each round.
func stamp(serial int64) string {
	return time.Date(2026, 1, 1, 0, 0, int(serial), 0, time.UTC).Format(time.DateTime)
}

// load replaces n rows from a file, the fastest that the server can.
func (r *rawRows) load(ctx context.Context, n int) (round.Sample, error) {
	serial := r.next()
	var text strings.Builder
	for id := 1; id <= n; id++ {
		fmt.Fprintf(&text, "%d\tpending\thigh\t%d\tprinters\t%s\t%d\n", id, serial, stamp(serial), serial)
	}
	file := filepath.Join(r.env.mariadb.Dir(), "rows.tsv")
	const all = 0o644 // the server may run as another user
	if err := os.WriteFile(file, []byte(text.String()), all); err != nil {
		return round.Sample{}, err
	}
	begin := time.Now()
	_, err := r.env.db.ExecContext(ctx, "LOAD DATA INFILE '"+file+"' REPLACE INTO TABLE "+plainTable+rowColumns)
	if err != nil {
		return round.Sample{}, fmt.Errorf("load data: %w", err)
	}
	return round.Sample{Value: float64(n) / time.Since(begin).Seconds()}, nil
}
