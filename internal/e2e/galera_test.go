package e2e

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// galeraTickets are changed by both the daemon and another client, so that commits meet on two nodes, galeraConflicts times at
// least.
const galeraTickets, galeraConflicts = 100, 5

// Three nodes of Galera behind haproxy. Another client changes the same rows on another node, so that commits fail with 1213. The
// node that the daemon writes to is killed, then the majority is lost: no call fails, and the rows have the last acknowledged
// values. Without conflicts in sync/mysql's verdicts the flush stops at the first of them.
func TestGalera(t *testing.T) {
	t.Parallel()
	cluster := testenv.NewGalera(t)
	nodes := cluster.Nodes
	r := &rig{socket: filepath.Join(testenv.Folder(t), "d.sock")}
	scrape := filepath.Join(testenv.Folder(t), "m.sock")
	config := r.config(t, &rigOptions{
		mariadb: nodes[0], site: "linger = \"20ms\"", journal: "[metrics]\nlisten = \"unix://" + scrape + "\"",
	})
	config = regexp.MustCompile(`(?m)^dsn = .*$`).
		ReplaceAllString(config, fmt.Sprintf("dsn = %q", "root@tcp("+cluster.Addr()+")/e2e"))
	r.migrate(t, config)
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config})
	c := r.dial(t)

	w := &galeraWriters{rig: r, second: nodes[1].DB(t, "e2e"), last: make([]int64, galeraTickets+1)}
	for id := int64(1); id <= galeraTickets; id++ {
		w.write(t.Context(), t, c, id)
	}
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.others(ctx) })
	running.Go(func() { w.run(ctx, t) })
	testenv.Eventually(t, time.Minute, "commits of the two nodes meet", func() bool {
		return conflictsOf(t, scrape) >= galeraConflicts
	})
	conflicts := conflictsOf(t, scrape)

	killed := time.Now()
	nodes[0].Kill()
	testenv.Eventually(t, time.Minute, "the daemon writes to the next node", func() bool {
		return w.flushedSince(t, killed)
	})
	t.Logf("%d conflicts; %v from SIGKILL of a node until its successor had a later change", conflicts,
		time.Since(killed).Round(time.Millisecond))

	nodes[2].Kill()
	testenv.Eventually(t, time.Minute, "a node without a majority is down", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Sink.State == protocol.StateDown
	})
	alone := time.Now()
	if _, err := w.second.ExecContext(t.Context(), "SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'"); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "the daemon writes to the node that is the cluster now", func() bool {
		return w.flushedSince(t, alone)
	})
	t.Logf("%v from the new majority until it had a later change", time.Since(alone).Round(time.Millisecond))
	cancel()
	running.Wait()
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= galeraTickets; id++ {
		if got, want := column(t, w.second, "assigned_to", id), strconv.FormatInt(w.last[id], 10); got != want {
			t.Errorf("ticket %d: MySQL has %s, acknowledged was %s", id, got, want)
		}
	}
	t.Logf("%d acknowledged writes, %d conflicts of the daemon, %d of the other client", w.writes.Load(), conflictsOf(t, scrape),
		w.lost.Load())
}

// galeraWriters change tickets through the daemon, and the same rows on a node.
type galeraWriters struct {
	rig    *rig
	second *sql.DB // of the second node
	last   []int64 // the acknowledged value of each ticket
	writes atomic.Int64
	lost   atomic.Int64 // conflicts that the other client met
}

// write changes a ticket to the time in µs.
func (w *galeraWriters) write(ctx context.Context, t *testing.T, c *protocol.Client, id int64) {
	value := time.Now().UnixMicro()
	_, err := c.Set(ctx, protocol.SetParams{
		ID: id, Fields: []protocol.Field{{Name: "assigned_to", Value: protocol.Int(value)}},
	})
	if err != nil {
		if ctx.Err() == nil {
			t.Errorf("set %d: %v", id, err)
		}
		return
	}
	w.last[id] = value
	w.writes.Add(1)
}

func (w *galeraWriters) run(ctx context.Context, t *testing.T) {
	c, err := protocol.Dial(ctx, w.rig.socket)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = c.Close() }()
	pace := time.NewTicker(time.Millisecond)
	defer pace.Stop()
	for ctx.Err() == nil {
		w.write(context.WithoutCancel(ctx), t, c, 1+rand.Int64N(galeraTickets))
		<-pace.C
	}
}

// others changes another column of the rows, several in a transaction, on the second node.
func (w *galeraWriters) others(ctx context.Context) {
	for n := 0; ctx.Err() == nil; n++ {
		from := 1 + rand.Int64N(galeraTickets-10)
		_, err := w.second.ExecContext(ctx, "UPDATE wp_support_tickets SET subject = ? WHERE ticket_id BETWEEN ? AND ?",
			strconv.Itoa(n), from, from+10)
		if refused, is := errors.AsType[*mysql.MySQLError](err); is && refused.Number == 1213 {
			w.lost.Add(1)
		}
	}
}

// flushedSince says whether a row of the second node has a change of after that time.
func (w *galeraWriters) flushedSince(t *testing.T, since time.Time) bool {
	t.Helper()
	var n int
	err := w.second.QueryRowContext(t.Context(),
		"SELECT COUNT(*) FROM wp_support_tickets WHERE assigned_to > ?", since.UnixMicro()).Scan(&n)
	return err == nil && n > 0
}

var conflictsMetric = regexp.MustCompile(`(?m)^ticketd_flush_conflicts_total\{.*\} (\d+)$`)

// conflictsOf reads the counter of the daemon's conflicts.
func conflictsOf(t *testing.T, socket string) int {
	t.Helper()
	found := conflictsMetric.FindStringSubmatch(metrics(t, socket))
	if found == nil {
		return 0
	}
	n, err := strconv.Atoi(found[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
