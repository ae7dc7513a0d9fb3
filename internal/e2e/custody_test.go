package e2e

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// custody follows writes to their final place. Every field of every ticket has a single writer, who counts up: so MySQL must
// hold in the end the last acknowledged number, or a later number whose acknowledgement was lost.
type custody struct {
	// connect returns a writer's function for calls, and its end.
	connect func(writer int) (call caller, end func())
	tickets int
	first   int      // the id before the first ticket's
	fields  []string // a field for each writer

	written [][]number // by writer, then by ticket
	acks    atomic.Int64
	lost    atomic.Int64 // calls that ended without an answer, or with a refusal
	calls   sync.WaitGroup
}

// caller makes a call of a writer; nil is an acknowledgement.
type caller func(ctx context.Context, p protocol.SetParams) error

// number is a writer's count in a field of a ticket.
type number struct{ acknowledged, tried int }

// callTimeout bounds a call of a writer.
const callTimeout = 3 * time.Second

// newCustody makes writers that call daemons, which all serve the same site, each the next after the other.
func newCustody(tickets int, sockets ...string) *custody {
	return newCustodyOf(tickets, func(writer int) (caller, func()) {
		var client *protocol.Client
		end := func() {
			if client != nil {
				_ = client.Close()
				client = nil
			}
		}
		n := writer
		return func(ctx context.Context, p protocol.SetParams) error {
			n++
			err := dialAndSet(ctx, &client, sockets[n%len(sockets)], p)
			if err != nil {
				end() // the next call goes to the next daemon, as a restarted request would
			}
			return err
		}, end
	})
}

func newCustodyOf(tickets int, connect func(writer int) (caller, func())) *custody {
	c := &custody{connect: connect, tickets: tickets, fields: []string{"subject", "status", "category", "priority"}}
	for range c.fields {
		c.written = append(c.written, make([]number, tickets))
	}
	return c
}

// start lets the writers write until ctx ends, or each has made so many writes; 0 is no bound.
func (c *custody) start(ctx context.Context, writes int) {
	for w := range c.fields {
		c.calls.Go(func() { c.write(ctx, w, writes) })
	}
}

// write is the loop of a writer.
func (c *custody) write(ctx context.Context, w, writes int) {
	call, end := c.connect(w)
	defer end()
	for i := 0; ctx.Err() == nil && (writes == 0 || i < writes); i++ {
		at := &c.written[w][i%c.tickets]
		at.tried = i + 1
		callCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), callTimeout) // a call under way is never cut short
		err := call(callCtx, set(int64(c.first+i%c.tickets+1), c.fields[w], strconv.Itoa(i+1)))
		cancel()
		if err == nil {
			at.acknowledged = i + 1
			c.acks.Add(1)
			continue
		}
		c.lost.Add(1)
		select { // a refused connection takes no time: do not spin while the daemon is down
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func dialAndSet(ctx context.Context, client **protocol.Client, socket string, p protocol.SetParams) error {
	if *client == nil {
		dialled, err := protocol.Dial(ctx, socket)
		if err != nil {
			return err
		}
		*client = dialled
	}
	_, err := (*client).Set(ctx, p)
	return err
}

// wait waits for the writers.
func (c *custody) wait() { c.calls.Wait() }

// check compares MySQL's rows with the acknowledged numbers.
func (c *custody) check(t *testing.T, db *sql.DB) {
	t.Helper()
	rows, err := db.QueryContext(t.Context(), "SELECT ticket_id, subject, status, category, priority FROM wp_support_tickets")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	found := make(map[int][]sql.NullString)
	for rows.Next() {
		var id int
		values := make([]sql.NullString, len(c.fields))
		if err := rows.Scan(&id, &values[0], &values[1], &values[2], &values[3]); err != nil {
			t.Fatal(err)
		}
		found[id] = values
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for w, name := range c.fields {
		for n, want := range c.written[w] {
			got := 0 // a field that was never written has the column's default, which is no number
			if values := found[c.first+n+1]; values != nil {
				got, _ = strconv.Atoi(values[w].String)
			}
			if got < want.acknowledged || got > want.tried {
				t.Errorf("ticket %d: %s is %d in MySQL; %d was acknowledged, %d tried", c.first+n+1, name, got, want.acknowledged, want.tried)
			}
		}
	}
}

// tally counts the outcomes, for the log.
func (c *custody) tally() string {
	return fmt.Sprintf("%d acknowledged writes, %d calls without an acknowledgement", c.acks.Load(), c.lost.Load())
}

// revisions looks at MySQL again and again, until ctx ends, and remembers every revision that went back and every row that
// vanished.
type revisions struct {
	seen   map[int64]ticket.Revision
	faults []string
	looks  int
	done   chan struct{}
}

func watchRevisions(ctx context.Context, db *sql.DB) *revisions {
	r := &revisions{seen: make(map[int64]ticket.Revision), done: make(chan struct{})}
	go func() {
		defer close(r.done)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
				r.look(ctx, db)
			}
		}
	}()
	return r
}

// look reads all revisions once; while MySQL is down look reads nothing.
func (r *revisions) look(ctx context.Context, db *sql.DB) {
	rows, err := db.QueryContext(ctx, "SELECT ticket_id, revision FROM wp_support_tickets")
	if err != nil {
		return
	}
	defer rows.Close()
	now := make(map[int64]ticket.Revision, len(r.seen))
	for rows.Next() {
		var id int64
		var revision ticket.Revision
		if rows.Scan(&id, &revision) != nil {
			return
		}
		now[id] = revision
	}
	if rows.Err() != nil {
		return
	}
	r.looks++
	for id, before := range r.seen {
		if revision, there := now[id]; !there {
			r.faults = append(r.faults, fmt.Sprintf("the row of ticket %d vanished", id))
		} else if revision < before {
			r.faults = append(r.faults, fmt.Sprintf("the revision of ticket %d went from %d back to %d", id, before, revision))
		}
	}
	r.seen = now
}

// check waits for the end and reports.
func (r *revisions) check(t *testing.T) {
	t.Helper()
	<-r.done
	if r.looks == 0 {
		t.Error("MySQL's revisions were never seen")
	}
	for _, fault := range r.faults {
		t.Error(fault)
	}
}
