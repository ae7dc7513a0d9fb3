package overload

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// many is how many clients request a reply of 4 MiB each: half a gigabyte, if the daemon kept all replies.
const many = limit - 8

// Clients request the largest possible reply and do not read it: the first of them keep 64 MiB together until they are cut,
// the others are refused.
func TestSlowReadersAreBounded(t *testing.T) { //nolint:paralleltest // the test measures memory
	r := newRig(t, false)
	r.large(t)
	before := r.now(t)
	patient := protocol.Timed{Timeout: 20 * time.Second} // a slow machine must not end requests instead
	get := frame(t, protocol.MethodGet, &protocol.GetParams{Timed: patient, ID: hugeTicket})
	conns := make([]net.Conn, many)
	for i := range conns {
		conns[i] = r.ask(t, get)
	}
	// An answer of each has begun: a refusal is complete, the other answers have filled their sockets.
	kept, refused := 0, 0
	for _, conn := range conns {
		if r.begun(t, conn) {
			kept++
		} else {
			refused++
		}
	}
	now := r.now(t)
	t.Logf("%d replies of 4 MiB kept, %d refused; before %s; then %s", kept, refused, &before, &now)
	if kept == 0 || refused < many/2 {
		t.Errorf("%d replies were kept and %d refused, want 64 MiB kept", kept, refused)
	}
	if grown := now.goheap - before.goheap; grown > memoryBound*3/4 {
		t.Errorf("the heap grew by %.0f MiB", grown/megabyte)
	}
	testenv.Eventually(t, 3*protocol.WriteTimeout, "those who do not read are cut", func() bool {
		now = r.now(t)
		return now.client == 0
	})
}

// Clients that have read such a reply and stay connected cost no more than others. (With a buffer that stays with its
// connection they keep half a gigabyte.)
func TestIdleClientsKeepNothing(t *testing.T) { //nolint:paralleltest // the test measures memory
	r := newRig(t, false)
	r.large(t)
	before := r.now(t)
	for range many {
		c, err := protocol.Dial(t.Context(), r.socket)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if _, err := c.Get(t.Context(), hugeTicket); err != nil {
			t.Fatal(err)
		}
	}
	now := r.now(t)
	t.Logf("%d idle clients; before %s; then %s", many, &before, &now)
	if now.client != many {
		t.Errorf("%v clients are connected: the test proves nothing", now.client)
	}
	if grown := now.goheap - before.goheap; grown > memoryBound*3/4 {
		t.Errorf("the heap grew by %.0f MiB", grown/megabyte)
	}
}

// A request names a ticket of 4 MiB a thousand times, another lists more than fits a frame: each is refused before all of the
// data has been fetched. (Fetched completely, the first takes four gigabytes.)
func TestRepliesThatCannotFitAreNotFetched(t *testing.T) { //nolint:paralleltest // the test measures memory
	r := newRig(t, false)
	r.large(t)
	ids := make([]int64, protocol.MaxTickets)
	for i := range ids {
		ids[i] = hugeTicket
		if i < 40 { // the first replies say nothing about later replies
			ids[i] = int64(900_000 + i)
		}
	}
	before := r.now(t)
	highest := r.watch(t.Context(), 20*time.Millisecond)
	r.need(t, func(c *protocol.Client) error {
		_, err := c.GetMany(t.Context(), ids)
		if outcome(err) != string(protocol.CodeTooLarge) {
			t.Errorf("get_many: %v, want too_large", err)
		}
		for id := int64(100); id < 110; id++ {
			if _, err := c.Set(t.Context(), set(id, "body", strings.Repeat("l", megabyte))); err != nil {
				return err
			}
		}
		if page, err := c.List(t.Context(), protocol.ListParams{}); err != nil || page.Next == "" || len(page.Tickets) == 0 {
			t.Errorf("list: %d tickets, %v; want a page of those that fit", len(page.Tickets), err)
		}
		_, err = c.List(t.Context(), protocol.ListParams{Limit: 2})
		return err
	})
	most := highest()
	t.Logf("before %s; highest %s", &before, &most)
	if grown := most.goheap - before.goheap; grown > memoryBound {
		t.Errorf("the heap grew by %.0f MiB", grown/megabyte)
	}
}

// ask sends a frame over a new connection that ends with the test.
func (r *rig) ask(t *testing.T, what []byte) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", r.socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := conn.Write(what); err != nil {
		t.Fatal(err)
	}
	return conn
}

// begun waits for the first bytes of an answer and reports whether the answer is large.
func (r *rig) begun(t *testing.T, conn net.Conn) bool {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	header := make([]byte, protocol.HeaderBytes)
	if _, err := conn.Read(header); err != nil {
		t.Fatalf("no answer: %v", err)
	}
	return header[1] > 0 // the length is above 64 KiB
}
