package overload

import (
	"context"
	"errors"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// How many clients of each kind. Together they want four times the limit.
const (
	floods     = 3 * limit // connect, ask, stay
	slow       = 32        // request large replies and do not read them
	drips      = 16        // send a frame byte by byte
	saturators = 8         // as fast as possible, a megabyte now and then
	visitors   = 8         // a connection for each call, as in PHP
)

// patience is the deadline of the crowd's calls: longer than PHP's, so that a busy machine fails no test. The calls that took
// longer than PHP's deadline are counted.
const patience = 10 * time.Second

// crowd is all clients that overload the daemon, with the outcomes of their calls.
type crowd struct {
	rig   *rig
	group sync.WaitGroup

	flood, saturation, visits tally
	late                      atomic.Int64 // calls beyond PHP's deadline
	cutSlow, cutDrips         atomic.Int64 // connections that the daemon has ended
	longest                   atomic.Int64 // duration of a single call, in ns
}

// start runs the clients until ctx ends; clients that must be inside start before the flood.
func (c *crowd) start(ctx context.Context, t *testing.T) {
	t.Helper()
	get := frame(t, protocol.MethodGet, &protocol.GetParams{ID: hugeTicket})
	for i := range saturators {
		c.group.Go(func() { c.saturate(ctx, int64(i)) })
	}
	for range slow {
		c.group.Go(func() { c.provoke(ctx, &c.cutSlow, get, 100*time.Millisecond) })
	}
	for range drips {
		c.group.Go(func() { c.provoke(ctx, &c.cutDrips, get[:1], 500*time.Millisecond) })
	}
	testenv.Eventually(t, patience, "they are inside", func() bool {
		s, err := c.rig.look(ctx)
		return err == nil && s.client >= (saturators+slow+drips)/2 // some are out just now
	})
	for range floods {
		c.group.Go(func() { c.knock(ctx) })
	}
	for i := range visitors {
		c.group.Go(func() { c.visit(ctx, int64(i)) })
	}
}

func frame(t *testing.T, m protocol.Method, p protocol.Params) []byte {
	t.Helper()
	var enc protocol.Encoder
	f, err := enc.Request(1, m, p)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// rest waits, and reports whether there is more to do.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// note counts a call, unless the end of the run ended it.
func (c *crowd) note(ctx context.Context, t *tally, began time.Time, err error) {
	if ctx.Err() != nil {
		return
	}
	took := time.Since(began)
	t.add(err, took)
	if took > deadline {
		c.late.Add(1)
	}
}

// knock connects, sends a request, and keeps its connection for a while if accepted.
func (c *crowd) knock(ctx context.Context) {
	const stay, again = time.Second, 250 * time.Millisecond
	for ctx.Err() == nil {
		began, pause := time.Now(), again
		calling, cancel := context.WithTimeout(ctx, patience)
		client, err := protocol.Dial(calling, c.rig.socket)
		if err == nil {
			if _, err = client.Ping(calling); err == nil {
				pause = stay
			}
		}
		cancel()
		c.note(ctx, &c.flood, began, err)
		_ = rest(ctx, pause) // the loop checks ctx itself
		if client != nil {
			_ = client.Close()
		}
	}
}

// visit changes a ticket as a page of PHP does.
func (c *crowd) visit(ctx context.Context, n int64) {
	for i := int64(0); rest(ctx, 20*time.Millisecond); i++ {
		began := time.Now()
		calling, cancel := context.WithTimeout(ctx, patience)
		client, err := protocol.Dial(calling, c.rig.socket)
		if err == nil {
			_, err = client.Set(calling, set(10_000+n*100+i%100, "status", strconv.FormatInt(i, 10)))
			_ = client.Close()
		}
		cancel()
		c.note(ctx, &c.visits, began, err)
	}
}

// saturate calls as fast as possible on a single connection. Every 16th call writes a megabyte, another reads a megabyte.
func (c *crowd) saturate(ctx context.Context, n int64) {
	body := strings.Repeat(string(rune('a'+n)), megabyte)
	var client *protocol.Client
	defer func() {
		if client != nil {
			_ = client.Close()
		}
	}()
	for i := int64(0); ctx.Err() == nil; i++ {
		began := time.Now()
		calling, cancel := context.WithTimeout(ctx, patience)
		var err error
		if client == nil {
			client, err = protocol.Dial(calling, c.rig.socket)
		}
		if err == nil {
			err = c.saturating(calling, client, n, i, body)
		}
		cancel()
		c.note(ctx, &c.saturation, began, err)
		var refusal *protocol.Error
		if err != nil && (!errors.As(err, &refusal) || refusal.Closing) {
			if client != nil {
				_ = client.Close()
			}
			client = nil
			_ = rest(ctx, 100*time.Millisecond)
		}
	}
}

func (c *crowd) saturating(ctx context.Context, client *protocol.Client, n, i int64, body string) (err error) {
	switch id := 20_000 + n*1000; i % 16 {
	case 3:
		_, err = client.Set(ctx, set(id, "body", body))
	case 7:
		_, err = client.Get(ctx, largeTicket)
	case 5, 9, 13:
		_, err = client.Get(ctx, id)
	default:
		_, err = client.Set(ctx, set(id+i%1000, "status", strconv.FormatInt(i, 10)))
	}
	if outcome(err) == string(protocol.CodeNotFound) {
		return nil // the write that would have made the ticket was refused
	}
	return err
}

// provoke repeats the same request without reading replies, until the daemon ends the connection; then on a new connection.
// Each connection must end.
func (c *crowd) provoke(ctx context.Context, cut *atomic.Int64, what []byte, every time.Duration) {
	for ctx.Err() == nil {
		began := time.Now()
		conn, err := (&net.Dialer{}).DialContext(ctx, "unix", c.rig.socket)
		if err == nil {
			err = send(ctx, conn, what, every)
			if err != nil && ctx.Err() == nil {
				cut.Add(1)
				c.lasted(time.Since(began))
			}
			_ = conn.Close()
		}
		_ = rest(ctx, time.Second)
	}
}

// send returns the error with which the connection ended.
func send(ctx context.Context, conn net.Conn, what []byte, every time.Duration) error {
	for rest(ctx, every) {
		if err := conn.SetWriteDeadline(time.Now().Add(every)); err != nil {
			return err
		}
		if _, err := conn.Write(what); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return nil
}

func (c *crowd) lasted(d time.Duration) {
	for {
		most := c.longest.Load()
		if int64(d) <= most || c.longest.CompareAndSwap(most, int64(d)) {
			return
		}
	}
}
