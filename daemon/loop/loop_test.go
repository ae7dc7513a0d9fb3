package loop

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

// fakeKernel is a kernel with scripted sockets. The poller is edge-triggered: each arrival is reported once.
type fakeKernel struct {
	t       *testing.T
	queue   []int // descriptors that wait to be accepted
	sockets map[int]*socket
	events  []unix.EpollEvent
	refuse  error // of accept
	shut    bool
}

// socket is the daemon's end of a connection.
type socket struct {
	in     []byte // arrived, and not read
	hungUp bool   // behind in
	out    []byte // written
	room   int    // for writes; -1: without bound
	token  token
	told   bool // watched
	closed bool
}

func newFakeKernel(t *testing.T) *fakeKernel {
	return &fakeKernel{t: t, sockets: map[int]*socket{}}
}

func (k *fakeKernel) wait(events []unix.EpollEvent, _ int) (int, error) {
	n := 0
	if len(k.queue) > 0 && !k.shut {
		tokenDoor.put(&events[n])
		n++
	}
	took := copy(events[n:], k.events)
	k.events = k.events[took:]
	return n + took, nil
}

// connect puts a client into the queue.
func (k *fakeKernel) connect(fd int) *socket {
	s := &socket{room: -1}
	k.sockets[fd] = s
	k.queue = append(k.queue, fd)
	return s
}

// arrive brings bytes to a socket, and a hang-up.
func (k *fakeKernel) arrive(fd int, b []byte, hangUp bool) {
	s := k.sockets[fd]
	s.in, s.hungUp = append(s.in, b...), s.hungUp || hangUp
	k.tell(s)
}

func (k *fakeKernel) tell(s *socket) {
	if s.told && !s.closed {
		e := unix.EpollEvent{Events: unix.EPOLLIN}
		if s.hungUp {
			e.Events |= unix.EPOLLRDHUP
		}
		s.token.put(&e)
		k.events = append(k.events, e)
	}
}

func (k *fakeKernel) accept() (int, error) {
	switch {
	case k.refuse != nil:
		return -1, k.refuse
	case len(k.queue) == 0:
		return -1, unix.EAGAIN
	}
	fd := k.queue[0]
	k.queue = k.queue[1:]
	return fd, nil
}

func (k *fakeKernel) watch(fd int, t token) error {
	s := k.sockets[fd]
	s.token, s.told = t, true
	if len(s.in) > 0 || s.hungUp {
		k.tell(s)
	}
	return nil
}

func (k *fakeKernel) forget(fd int)        { k.sockets[fd].told = false }
func (k *fakeKernel) door(open bool) error { k.shut = !open; return nil }

func (k *fakeKernel) read(fd int, into []byte) (int, error) {
	s := k.sockets[fd]
	switch {
	case s.closed:
		k.t.Fatalf("socket %d is read after its close", fd)
	case len(s.in) == 0 && s.hungUp:
		return 0, nil
	case len(s.in) == 0:
		return -1, unix.EAGAIN
	}
	n := copy(into, s.in)
	s.in = s.in[n:]
	return n, nil
}

func (k *fakeKernel) write(fd int, b []byte) (int, error) {
	s := k.sockets[fd]
	if s.closed {
		k.t.Fatalf("socket %d is written to after its close", fd)
	}
	n := len(b)
	if s.room >= 0 {
		n = min(n, s.room)
		s.room -= n
	}
	if n == 0 {
		return -1, unix.EAGAIN
	}
	s.out = append(s.out, b[:n]...)
	return n, nil
}

func (k *fakeKernel) close(fd int) { k.sockets[fd].closed = true }
func (k *fakeKernel) wake()        {}
func (k *fakeKernel) woken()       {}
func (k *fakeKernel) end()         {}

// fakeHost answers a request with the reversed bytes of the request. A request that begins with 'c' is not hot; a round does not
// answer a request with 'u'.
type fakeHost struct {
	adopted map[int]*adopted
	left    []int
	entered int
	refuses bool
	cannot  error
}

type adopted struct{ unread, owed []byte }

func (h *fakeHost) Enter(fd int) (int, []byte) {
	if h.refuses {
		return fd, []byte("refused")
	}
	h.entered++
	return fd, nil
}

func (h *fakeHost) Leave(guest int) { h.left = append(h.left, guest) }

func (h *fakeHost) Adopt(fd int, _ int, unread, owed []byte) {
	h.adopted[fd] = &adopted{bytes.Clone(unread), bytes.Clone(owed)}
}

func (h *fakeHost) Round() Round[int]              { return &fakeRound{} }
func (h *fakeHost) CannotAccept(err error)         { h.cannot = err }
func (h *fakeHost) Rounded(_ int, _ time.Duration) {}

type fakeRound struct {
	payloads, frames [][]byte
	hold             chan struct{}
	held             chan struct{}
}

func (r *fakeRound) Add(_ int, payload []byte) bool {
	if payload[0] == 'c' {
		return false
	}
	r.payloads = append(r.payloads, payload)
	return true
}

func (r *fakeRound) Answer(ctx context.Context) {
	if r.hold != nil {
		r.held <- struct{}{}
		select {
		case <-r.hold:
		case <-ctx.Done():
		}
	}
	for _, payload := range r.payloads {
		r.frames = append(r.frames, answerTo(payload))
	}
}

func (r *fakeRound) Reply(i int) ([]byte, bool) { return r.frames[i], r.payloads[i][0] != 'u' }
func (r *fakeRound) Reset()                     { r.payloads, r.frames = nil, nil }

func answerTo(payload []byte) []byte {
	reversed := bytes.Clone(payload)
	slices.Reverse(reversed)
	return frameOf(reversed)
}

func frameOf(payload []byte) []byte {
	n := len(payload)
	return append([]byte{protocol.Version, byte(n >> 16), byte(n >> 8), byte(n)}, payload...)
}

func newTestLoop(t *testing.T) (*Loop[int], *fakeKernel, *fakeHost) {
	k, h := newFakeKernel(t), &fakeHost{adopted: map[int]*adopted{}}
	return newLoop(k, h, Options{IdleTimeout: time.Minute}, time.Now), k, h
}

// A lone client is let in, read, answered and dropped, in a few turns.
func TestOneRequest(t *testing.T) {
	t.Parallel()
	l, k, h := newTestLoop(t)
	s := k.connect(7)
	k.arrive(7, frameOf([]byte("hello")), false)
	l.turn()
	if !bytes.Equal(s.out, answerTo([]byte("hello"))) {
		t.Errorf("the client received %q", s.out)
	}
	k.arrive(7, frameOf([]byte("again")), true)
	l.turn()
	l.turn()
	if want := append(answerTo([]byte("hello")), answerTo([]byte("again"))...); !bytes.Equal(s.out, want) {
		t.Errorf("the client received %q", s.out)
	}
	for range 3 {
		l.turn()
	}
	if !s.closed || len(h.left) != 1 || l.clients.live != 0 {
		t.Errorf("closed %v, left %v, %d clients live", s.closed, h.left, l.clients.live)
	}
}

// Input other than a single whole hot frame is handed over with every byte read, and a reply that the socket does not accept with
// the remaining bytes.
func TestHandOver(t *testing.T) {
	t.Parallel()
	whole, large := frameOf([]byte("whole")), frameOf(bytes.Repeat([]byte{'x'}, SmallFrame))
	for name, test := range map[string]struct {
		sent   []byte
		room   int
		unread []byte
		owed   []byte
	}{
		"part of a header":       {sent: whole[:2], room: -1, unread: whole[:2]},
		"part of a frame":        {sent: whole[:6], room: -1, unread: whole[:6]},
		"two frames":             {sent: slices.Concat(whole, whole), room: -1, unread: slices.Concat(whole, whole)},
		"a large frame":          {sent: large, room: -1, unread: large[:SmallFrame+1]},
		"another version":        {sent: []byte{9, 0, 0, 1, 0}, room: -1, unread: []byte{9, 0, 0, 1, 0}},
		"an empty frame":         {sent: []byte{1, 0, 0, 0}, room: -1, unread: []byte{1, 0, 0, 0}},
		"a request that is cold": {sent: frameOf([]byte("cold")), room: -1, unread: frameOf([]byte("cold"))},
		"an unanswered request":  {sent: frameOf([]byte("unanswered")), room: -1, unread: frameOf([]byte("unanswered"))},
		"a full socket":          {sent: whole, room: 3, owed: answerTo([]byte("whole"))[3:]},
		"a socket without room":  {sent: whole, room: 0, owed: answerTo([]byte("whole"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, k, h := newTestLoop(t)
			s := k.connect(7)
			s.room = test.room
			k.arrive(7, test.sent, false)
			l.turn()
			got := h.adopted[7]
			if got == nil || !bytes.Equal(got.unread, test.unread) || !bytes.Equal(got.owed, test.owed) {
				t.Fatalf("handed over: %+v, want unread %q, owed %q", got, test.unread, test.owed)
			}
			if s.told || s.closed || l.clients.live != 0 || len(h.left) != 0 {
				t.Errorf("the loop still has the connection: watched %v, closed %v, live %d", s.told, s.closed, l.clients.live)
			}
		})
	}
}

// In any order of bytes, hang-ups and room for writes, a client receives the replies to the client's own requests, in order, and
// the input without a reply is handed over or still in the socket, byte for byte.
func TestAnySchedule(t *testing.T) {
	t.Parallel()
	for seed := range uint64(400) {
		runSchedule(t, rand.New(rand.NewPCG(seed, 1)))
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

// scripted is one client of a schedule.
type scripted struct {
	fd       int
	requests [][]byte
	sent     []byte // all frames
	at       int    // of sent, brought to the socket
}

func runSchedule(t *testing.T, r *rand.Rand) {
	l, k, h := newTestLoop(t)
	clients := make([]*scripted, 1+r.IntN(6))
	for i := range clients {
		c := &scripted{fd: 10 + i}
		for n := range 1 + r.IntN(5) {
			c.requests = append(c.requests, fmt.Appendf(nil, "%c%d-%d", "hhhhhcu"[r.IntN(7)], i, n))
			c.sent = append(c.sent, frameOf(c.requests[n])...)
		}
		clients[i] = c
		if s := k.connect(c.fd); r.IntN(8) == 0 {
			s.room = r.IntN(20)
		}
	}
	for range 200 {
		c := clients[r.IntN(len(clients))]
		if n := min(len(c.sent)-c.at, 1+r.IntN(12)); n > 0 && r.IntN(2) == 0 {
			if frame, ok := protocol.FrameBytes(c.sent[c.at:]); ok && r.IntN(3) > 0 {
				n = frame // mostly whole frames, as clients send them
			}
			k.arrive(c.fd, c.sent[c.at:c.at+n], false)
			c.at += n
		}
		if r.IntN(3) == 0 {
			l.turn()
		}
	}
	for _, c := range clients {
		k.arrive(c.fd, c.sent[c.at:], true)
	}
	for range 40 {
		l.turn()
	}
	for _, c := range clients {
		judge(t, c, k.sockets[c.fd], h.adopted[c.fd])
	}
	if gone := len(h.left) + len(h.adopted); gone != len(clients) || l.clients.live != 0 {
		t.Errorf("%d of %d clients have left or were handed over, %d are live", gone, len(clients), l.clients.live)
	}
}

func judge(t *testing.T, c *scripted, s *socket, handed *adopted) {
	t.Helper()
	replies, rest := s.out, s.in
	if handed != nil {
		replies, rest = append(bytes.Clone(replies), handed.owed...), append(bytes.Clone(handed.unread), s.in...)
	}
	answered, at := []byte{}, 0
	for _, request := range c.requests {
		if bytes.Equal(answered, replies) {
			break
		}
		answered, at = append(answered, answerTo(request)...), at+len(frameOf(request))
	}
	if !bytes.Equal(answered, replies) || !bytes.Equal(rest, c.sent[at:]) {
		t.Errorf("client %d sent %q and received %q; left are %q", c.fd, c.sent, replies, rest)
	}
	if handed == nil && at != len(c.sent) {
		t.Errorf("client %d was served to %d of %d bytes, and dropped", c.fd, at, len(c.sent))
	}
}

// An event of a connection that was closed earlier in the turn reaches no client, even if the slot has a new client.
func TestSlotUsedAgain(t *testing.T) {
	t.Parallel()
	var s slots[int]
	first := s.put(3, 1)
	s.remove(first)
	second := s.put(4, 2)
	if first.token.slot() != second.token.slot() {
		t.Fatalf("slots %d and %d, want the same", first.token.slot(), second.token.slot())
	}
	if s.get(first.token) != nil || s.get(second.token) != second {
		t.Error("a slot that is used again answers to its former token")
	}
}

func TestIdleClientsAreDropped(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	k, h := newFakeKernel(t), &fakeHost{adopted: map[int]*adopted{}}
	l := newLoop(k, h, Options{IdleTimeout: time.Minute}, func() time.Time { return now })
	k.connect(7)
	k.connect(8)
	l.turn()
	l.turn()
	now = now.Add(40 * time.Second)
	k.arrive(7, frameOf([]byte("awake")), false)
	l.turn()
	now = now.Add(30 * time.Second)
	l.turn()
	if k.sockets[7].closed || !k.sockets[8].closed || !slices.Equal(h.left, []int{8}) {
		t.Errorf("closed: 7 %v, 8 %v; left %v", k.sockets[7].closed, k.sockets[8].closed, h.left)
	}
}

// A process without free descriptors shuts the door for a moment instead of polling in vain, and opens the door again.
func TestAcceptFails(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	k, h := newFakeKernel(t), &fakeHost{adopted: map[int]*adopted{}}
	l := newLoop(k, h, Options{IdleTimeout: time.Minute}, func() time.Time { return now })
	k.connect(7)
	k.refuse = unix.EMFILE
	l.turn()
	if !k.shut || !errors.Is(h.cannot, unix.EMFILE) {
		t.Fatalf("the door is shut: %v; told: %v", k.shut, h.cannot)
	}
	k.refuse, now = nil, now.Add(acceptPause)
	l.turn()
	l.turn()
	if k.shut || h.entered != 1 {
		t.Errorf("the door is shut: %v; %d clients entered", k.shut, h.entered)
	}
}

// A round without room leaves further clients in the queue. (Without the check the leader reads beyond the round's memory, which
// ends the process.)
func TestFullRoundLeavesTheQueue(t *testing.T) {
	t.Parallel()
	const clients = 20
	l, k, h := newTestLoop(t)
	for fd := range clients {
		k.connect(fd)
	}
	for range clients {
		l.turn()
	}
	large := frameOf(bytes.Repeat([]byte{'x'}, SmallFrame-protocol.HeaderBytes))
	for fd := range clients {
		k.arrive(fd, large, false)
	}
	k.connect(clients)
	k.arrive(clients, large, false)
	for range 6 {
		l.turn()
	}
	for fd := range clients + 1 {
		if got := len(k.sockets[fd].out); got != len(large) {
			t.Errorf("client %d received %d bytes, want %d", fd, got, len(large))
		}
	}
	if h.entered != clients+1 {
		t.Errorf("%d clients entered", h.entered)
	}
}

// A stop lets in all clients of the queue, however many have sent a request already.
func TestStopEmptiesTheQueue(t *testing.T) {
	t.Parallel()
	const clients = 3 * maxAccepts
	l, k, h := newTestLoop(t)
	for fd := range clients {
		k.connect(fd)
		k.arrive(fd, frameOf([]byte("hello")), false)
	}
	l.stopped, l.drain = true, true
	for l.goOn() {
	}
	if len(h.adopted) != clients || len(k.queue) != 0 {
		t.Errorf("%d of %d clients were handed over, %d are in the queue", len(h.adopted), clients, len(k.queue))
	}
}

func TestRefusedClient(t *testing.T) {
	t.Parallel()
	l, k, h := newTestLoop(t)
	h.refuses = true
	s := k.connect(7)
	l.turn()
	if !s.closed || string(s.out) != "refused" || l.clients.live != 0 || len(h.left) != 0 {
		t.Errorf("closed %v, received %q, live %d, left %v", s.closed, s.out, l.clients.live, h.left)
	}
}
