package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/protocol"
)

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
		before, err := e.counted(ctx, d)
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
