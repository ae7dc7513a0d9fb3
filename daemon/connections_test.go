package daemon

import (
	"errors"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// acquireAll acquires connections until a refusal, and returns their number.
func acquireAll(c *Connections, user uint32) (int, *protocol.Error) {
	for taken := 0; ; taken++ {
		if refusal := c.acquire(user); refusal != nil {
			return taken, refusal
		}
	}
}

// Two busy users cannot shut out a third user, and no users can shut out the operator: connected users have shares, absent
// users a floor, root and the daemon's user a reserve. Each refusal names its limit.
func TestConnectionsAreShared(t *testing.T) {
	t.Parallel()
	const limit, own = 128, 4000
	c := NewConnections(limit, 0, own)
	c.SetUsers([]uint32{1, 2, 3, 4, own})
	for _, want := range []struct {
		user  uint32
		taken int
		says  string
	}{
		{1, 60, "60 connections of user 1 are open, its share"}, // half, because a share is left for the next user
		{2, 40, "40 connections of user 2 are open, its share"},
		{3, 12, "8 are kept free for other users"},
		{4, 8, "120 of daemon.max_connections (128) are open"},
		{5, 0, "120 of daemon.max_connections (128) are open"},
		{own, 8, "all of daemon.max_connections (128) are open"},
		{0, 0, "all of daemon.max_connections (128) are open"},
	} {
		taken, refusal := acquireAll(c, want.user)
		if taken != want.taken || refusal.Code != protocol.CodeOverloaded || !refusal.Closing ||
			!strings.Contains(refusal.Message, want.says) {
			t.Errorf("user %d got %d connections, then %v; want %d, then %q", want.user, taken, refusal, want.taken, want.says)
		}
	}
	if c.Open() != limit || c.Refused() != 7 {
		t.Errorf("%d open, %d refused", c.Open(), c.Refused())
	}
	c.release(own)
	if err := c.acquire(0); err != nil {
		t.Errorf("root after one has ended: %v", err)
	}
}

// The only user of a host may have all but the reserved connections; of few connections few are reserved.
func TestConnectionsOfOneUser(t *testing.T) {
	t.Parallel()
	for limit, want := range map[int]int{1024: 1016, 8: 6, 2: 2, 1: 1} {
		c := NewConnections(limit, 0)
		c.SetUsers([]uint32{33})
		if taken, refusal := acquireAll(c, 33); taken != want {
			t.Errorf("of %d connections one user got %d, then %v; want %d", limit, taken, refusal, want)
		}
	}
}

// A user without a site is refused before the connection counts; a reload may change that.
func TestStrangersDoNotCount(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{peer: Peer{UID: 64103, GID: 64103}, limit: 4})
	for range 8 {
		_, err := r.client(t).Ping(t.Context())
		if !errors.Is(err, &protocol.Error{Code: protocol.CodeForbidden}) || !strings.Contains(err.Error(), "may not use this site") {
			t.Fatalf("a stranger: %v", err)
		}
	}
	dispatcher, _ := r.server.handler.(*Dispatcher)
	if dispatcher.connections.Open() != 0 {
		t.Errorf("%d connections are counted", dispatcher.connections.Open())
	}
	r.table.Replace(map[string]SiteAccess{"main": {Site: r.site, Groups: []uint32{64103}}})
	r.requireServing(t)
}

func TestTooManyConnections(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{limit: 1})
	first := r.client(t)
	if _, err := first.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	second := r.raw(t)
	reply := readReply(t, second)
	requireError(t, reply, 0, protocol.CodeOverloaded)
	if !reply.Err.Closing || !reply.Err.Retryable {
		t.Errorf("got %+v, want retryable and closing", reply.Err)
	}
	requireClosed(t, second)
	if _, err := first.Ping(t.Context()); err != nil {
		t.Errorf("the first client suffers: %v", err)
	}
	_ = first.Close()
	waitUntil(t, func() bool { return r.server.connections.Open() == 0 })
	r.requireServing(t)
}
