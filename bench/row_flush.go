package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/protocol"
)

// flushed measures the rate of flushing dirty tickets to MySQL, against handwritten statements.
func flushed(ctx context.Context, e *env) (lines []line, err error) {
	d, err := e.startDaemon(ctx, "flush", "unix://"+e.redis.Socket(), "")
	if err != nil {
		return nil, err
	}
	if err := d.site(ctx, waits); err != nil {
		return nil, err
	}
	r := &rawRows{env: e}
	const rounds = 6
	many, few := e.much(20_000), e.much(300)
	lines, err = e.inRounds(ctx, rounds, []round.Side{
		{Name: ticketd, Run: func(ctx context.Context) (round.Sample, error) {
			cost, err := e.flushRound(ctx, d, many, r.next())
			return round.Sample{Value: cost.rate, CPU: cost.own + cost.mariadb, Server: cost.own}, err
		}},
		r.side(rawGuarded, many, 1000, guarded),
		r.side(rawPlain, many, 1000, plain),
		r.side("raw upsert, 100 rows", many/4, 100, plain),
		r.side("row by row", few, 1, plain),
		{Name: "LOAD DATA … REPLACE", Run: func(ctx context.Context) (round.Sample, error) {
			return r.load(ctx, many)
		}},
	}, flushLines)
	return lines, errors.Join(err, d.Stop())
}

// The raw upserts of 1,000 rows that the flush is compared with.
const (
	rawGuarded = "raw guarded upsert, 1,000 rows"
	rawPlain   = "raw upsert, 1,000 rows"
)

func flushLines(t round.Table) []line {
	batches := rated("flush rate, against the raw guarded upsert of 1,000 rows", t, ticketd, rawGuarded, target{atLeast: 0.8})
	own, all := t.Server(ticketd).Median, t.CPU(ticketd).Median
	batches.notes = []string{
		fmt.Sprintf("processor time of a row that ticketd flushes: %.1f µs in Redis and the daemon, %.1f in MariaDB", own, all-own),
		fmt.Sprintf("the raw guarded upsert keeps %.2f processors busy, ticketd's flush %.2f",
			t.CPU(rawGuarded).Median*t.Value(rawGuarded).Median/1e6, all*t.Value(ticketd).Median/1e6),
	}
	return []line{
		batches,
		withoutSides(rated("flush rate, against the raw upsert of 1,000 rows", t, ticketd, rawPlain, target{})),
		withoutSides(rated("flush rate, against row by row", t, ticketd, "row by row", target{})),
	}
}

// flushCost is the cost of a flush of many rows.
type flushCost struct {
	rate         float64 // rows a second
	own, mariadb float64 // processor time of a row, in µs: of Redis with the daemon, and of MariaDB
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

// rowColumns are the columns that ticketd flushes after a write of fourFields.
const rowColumns = " (ticket_id, status, priority, assigned_to, category, updated_at, revision)"

// rawRows writes rows without ticketd.
type rawRows struct {
	env    *env
	serial int64
}

// next makes the values of each round new: MySQL skips rows that do not change.
func (r *rawRows) next() int64 {
	r.serial++
	return r.serial
}

// side upserts n rows, batch rows in a statement, each statement with its own durable commit. assign is the text that assigns a
// column.
func (r *rawRows) side(name string, n, batch int, assign func(column string) string) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		serial := r.next()
		pids := []int{r.env.mariadb.PID(), os.Getpid()} // of the server and of this client
		before, err := cpu(pids...)
		if err != nil {
			return round.Sample{}, err
		}
		begin := time.Now()
		for from := 1; from <= n; from += batch {
			if _, err := r.env.db.ExecContext(ctx, upsert(from, batch, serial, assign)); err != nil {
				return round.Sample{}, fmt.Errorf("raw upsert: %w", err)
			}
		}
		took := time.Since(begin)
		after, err := cpu(pids...)
		return round.Sample{Value: float64(n) / took.Seconds(), CPU: perTime(after-before, n)}, err
	}}
}

// plain assigns the new value to a column.
func plain(column string) string { return column + " = VALUES(" + column + ")" }

// guarded assigns the new value unless the row has a newer revision or is another ticket's, as ticketd's flush does.
func guarded(column string) string {
	return column + " = IF(VALUES(ticket_id) = ticket_id AND VALUES(revision) > revision, VALUES(" + column + "), " + column + ")"
}

// upsert is the statement for the tickets from … from+rows-1.
func upsert(from, rows int, serial int64, assign func(column string) string) string {
	var s strings.Builder
	s.WriteString("INSERT INTO " + plainTable + rowColumns + " VALUES ")
	for i := range rows {
		if i > 0 {
			s.WriteByte(',')
		}
		fmt.Fprintf(&s, "(%d,'pending','high',%d,'printers','%s',%d)", from+i, serial, stamp(serial), serial)
	}
	s.WriteString(" ON DUPLICATE KEY UPDATE ")
	// The revision comes last: the guards look at the former one.
	for i, column := range []string{"status", "priority", "assigned_to", "category", "updated_at", "revision"} {
		if i > 0 {
			s.WriteString(", ")
		}
		s.WriteString(assign(column))
	}
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
	const all = 0o644 // the server may run as a different user
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

// dirty changes each of the tickets 1 to n once through the daemon; a new serial makes new values.
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

// waits prevents flushes before a row asks for a flush.
const waits = "strategy = \"interval\"\nperiod = \"24h\"\nmax_age = \"168h\""

// backlog fails unless exactly want tickets are pending: a figure about n dirty tickets is wrong with fewer tickets.
func (d *daemon) backlog(ctx context.Context, want int) error {
	status, err := d.status(ctx)
	if err != nil {
		return err
	}
	if status.Dirty != int64(want) {
		return fmt.Errorf("%d tickets are pending, want %d", status.Dirty, want)
	}
	return nil
}

// million measures a backlog of a million dirty tickets: the daemon's memory, and the cost of a ticket from claim to ack
// against a backlog of ten thousand. The table has the rows before, so that each flush changes rows and inserts no rows.
func million(ctx context.Context, e *env) ([]line, error) {
	d, err := e.startDaemon(ctx, "million", "unix://"+e.redis.Socket(), "")
	if err != nil {
		return nil, err
	}
	many, few, rounds := e.much(1_000_000), e.much(10_000), e.much(5)
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

// millionLines are the results: the memory in MB, the cost of a ticket in many and in few, and the ratio of raw upserts.
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
			target: target{atMost: 1.2},
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

// fillTable fills a table with the tickets 1 … n, so that later statements change rows and insert no rows.
func (e *env) fillTable(ctx context.Context, table string, n int) error {
	_, err := e.db.ExecContext(ctx, fmt.Sprintf(
		"INSERT IGNORE INTO %s (ticket_id, status) SELECT seq, 'new' FROM seq_1_to_%d", table, n))
	if err != nil {
		return fmt.Errorf("filling the table: %w", err)
	}
	return nil
}

// rawMillion is the cost of a row in upserts of many rows against few rows: MariaDB's part of the ratio.
func (e *env) rawMillion(ctx context.Context, many, few, rounds int) (float64, error) {
	if err := e.fillTable(ctx, plainTable, many); err != nil {
		return 0, err
	}
	r := &rawRows{env: e, serial: 1_000_000} // above the values written by the row flush
	const batch = 1000
	rate := func(n int) (float64, error) {
		sample, err := r.side("", n, batch, plain).Run(ctx)
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

// updateRate is how many updates per second are sent.
const updateRate = 1000

// statements counts the statements for a help desk's log under each strategy, first with the log itself and then with each
// ticket cloned, at a steady rate of updates.
func statements(ctx context.Context, e *env) ([]line, error) {
	updates, source, err := eventLog(e.file)
	if err != nil {
		return nil, err
	}
	updates = updates[:e.much(len(updates))]
	d, err := e.startDaemon(ctx, "replay", "unix://"+e.redis.Socket(), "")
	if err != nil {
		return nil, err
	}
	var lines []line
	for i, c := range []struct {
		name, site string
		clones     int
		target     target
	}{
		{"event", `strategy = "event"`, 1, target{atMost: 0.01}},
		{"event, tickets cloned four times", `strategy = "event"`, 4, target{atMost: 0.01}},
		{"interval of 1 s", "strategy = \"interval\"\nperiod = \"1s\"", 1, target{}},
		{"on_close", "strategy = \"on_close\"\nclose_statuses = [\"Closed\", \"Resolved\"]", 1, target{}},
	} {
		if err := d.site(ctx, c.site); err != nil {
			return nil, err
		}
		all := clone(updates, c.clones, 10*i) // every strategy begins with new tickets
		before, err := e.quiet(ctx, d)
		if err != nil {
			return nil, err
		}
		took, err := d.sendAll(ctx, all)
		if err := errors.Join(err, d.flush(ctx)); err != nil {
			return nil, err
		}
		after, err := e.counted(ctx, d)
		if err != nil {
			return nil, err
		}
		sent := after.questions - before.questions - 1 // the last question was the query for the count
		lines = append(lines, line{
			what: "statements per update, " + c.name, target: c.target,
			value: round.SpreadOf([]float64{float64(sent) / float64(len(all))}),
			notes: []string{fmt.Sprintf("%d updates (%s) at %.0f a second: %d statements, of which %d write; %d row writes",
				len(all), source, float64(len(all))/took.Seconds(), sent, after.FlushStatements-before.FlushStatements,
				after.FlushedRows-before.FlushedRows)},
		})
	}
	return lines, d.Stop()
}

// counts are the daemon's and the server's.
type counts struct {
	protocol.StatusResult

	questions int64 // all statements that MySQL received: MySQL has no other clients meanwhile
}

// quiet returns the counts once MySQL has received no statement for a second: a daemon that starts reads the tables of all its
// sites, and these statements are no part of an update's cost.
func (e *env) quiet(ctx context.Context, d *daemon) (counts, error) {
	for last := int64(-1); ; {
		c, err := e.counted(ctx, d)
		if err != nil || c.questions == last+1 { // the count's own query
			return c, err
		}
		last = c.questions
		select {
		case <-ctx.Done():
			return c, context.Cause(ctx)
		case <-time.After(time.Second):
		}
	}
}

func (e *env) counted(ctx context.Context, d *daemon) (c counts, err error) {
	if c.StatusResult, err = d.status(ctx); err != nil {
		return c, err
	}
	var name string
	return c, e.db.QueryRowContext(ctx, "SHOW GLOBAL STATUS LIKE 'Questions'").Scan(&name, &c.questions)
}

// eventLog reads the given file, or makes up a log of the same size.
func eventLog(file string) (updates []incidents.Update, source string, err error) {
	if file == "" {
		return incidents.MadeUp(), "made up", nil
	}
	updates, err = incidents.ReadFile(file)
	return updates, "real", err
}

// clone repeats each update for so many tickets, from the generation first of clones on.
func clone(updates []incidents.Update, times, first int) []incidents.Update {
	const apart = 1_000_000_000 // further than the log's own numbers go
	all := make([]incidents.Update, 0, times*len(updates))
	for _, u := range updates {
		for c := range times {
			all = append(all, incidents.Update{Ticket: u.Ticket + int64(first+c)*apart, Fields: u.Fields})
		}
	}
	return all
}

// sendAll sends the updates at updateRate over a few connections, the updates of each ticket in order.
func (d *daemon) sendAll(ctx context.Context, updates []incidents.Update) (took time.Duration, err error) {
	const connections = 8
	clients, err := dialMany(ctx, d.socket, connections)
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
	}()
	var all sync.WaitGroup
	errs := make([]error, connections)
	begin := time.Now()
	for n, client := range clients {
		all.Go(func() {
			for i, u := range updates {
				if u.Ticket%connections != int64(n) {
					continue
				}
				time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / updateRate)))
				if _, errs[n] = client.Set(ctx, protocol.SetParams{ID: u.Ticket, Fields: wire(u.Fields)}); errs[n] != nil {
					return
				}
			}
		})
	}
	all.Wait()
	return time.Since(begin), errors.Join(errs...)
}

// dialMany connects so many times.
func dialMany(ctx context.Context, socket string, n int) ([]*protocol.Client, error) {
	clients := make([]*protocol.Client, 0, n)
	for range n {
		c, err := protocol.Dial(ctx, socket)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func wire(fields map[string]*string) []protocol.Field {
	all := make([]protocol.Field, 0, len(fields))
	for name, value := range fields {
		f := protocol.Field{Name: name, Value: protocol.Null}
		if value != nil {
			f.Value = protocol.Text(*value)
		}
		all = append(all, f)
	}
	return all
}
