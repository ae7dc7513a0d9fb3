package loop

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/protocol"
)

const (
	// SmallFrame is the longest frame, header included, that the loop answers, in bytes.
	SmallFrame = 4 << 10
	// maxRound bounds the requests of a round, and maxAccepts the clients that are let in between two rounds.
	maxRound   = 128
	maxAccepts = 64
	// tick is how often the monitor looks: a round that is seen twice is relieved.
	tick = 5 * time.Millisecond
	// maxFlights bounds the rounds that were relieved and have not landed. Beyond that no backend answers, and the clients of
	// further requests go to ordinary connections.
	maxFlights = 4
	// quietTicks without a round end the monitor's looks, until the next round.
	quietTicks = 40
	// acceptPause is the wait after an accept that failed, usually for want of descriptors.
	acceptPause = 50 * time.Millisecond
)

// Host is the server behind a loop. G is the host's record of a client. The loop calls Enter, Leave and Adopt on the leader's
// goroutine only, and the calls must not wait.
type Host[G any] interface {
	// Enter lets a client in, or returns a frame that refuses it.
	Enter(fd int) (guest G, refusal []byte)
	// Leave says that a client that was let in has gone.
	Leave(guest G)
	// Adopt takes a client over for good, with the descriptor, the bytes read and not answered, and the bytes owed to the client.
	// The bytes are the loop's.
	Adopt(fd int, guest G, unread, owed []byte)
	// Round returns a round without requests.
	Round() Round[G]
	// CannotAccept receives the reason why no client can be let in for a moment.
	CannotAccept(err error)
	// Rounded receives the duration of a round of so many requests.
	Rounded(requests int, took time.Duration)
}

// Round is a set of requests of several clients that are answered together.
type Round[G any] interface {
	// Add accepts the payload of a frame as the next request. false: the request is not hot, so the request may have to wait or is
	// unknown. The payload is the round's until Answer has returned.
	Add(guest G, payload []byte) bool
	// Answer works on the requests. Answer may wait for the store; other requests wait meanwhile, but not for long, see the package.
	Answer(ctx context.Context)
	// Reply returns the frame that answers request number i. false: the round has not changed any state for the request, and an
	// ordinary connection must serve the request. The frame is the round's until Reset.
	Reply(i int) (frame []byte, answered bool)
	// Reset forgets the requests.
	Reset()
}

// Loop is an event loop on a listening socket. Start and Stop are called once.
type Loop[G any] struct {
	host Host[G]
	sys  system
	idle time.Duration
	now  func() time.Time
	ctx  context.Context //nolint:containedctx // the life of the rounds, ended by Stop
	end  context.CancelFunc

	// The following fields belong to the leader.
	clients slots[G]
	events  []unix.EpollEvent
	round   *round[G]
	ready   []*client[G] // readable, and not read in this turn
	shut    time.Time    // when the door opens again; zero: the door is open
	closing bool

	// state is twice the number of the present round, plus 1 while the round is answered.
	state atomic.Uint64
	// flights counts the rounds that were relieved and have not landed.
	flights   atomic.Int32
	monitored atomic.Bool
	begun     chan struct{} // wakes the monitor

	mu       sync.Mutex
	landed   []*round[G]
	returned []returned[G]
	stopped  bool
	drain    bool // accept the clients in the queue first

	leaders    int           // leaders and flights
	ended      chan struct{} // closed with the last of them
	monitoring sync.WaitGroup
}

// round is a [Round] with the clients of the requests.
type round[G any] struct {
	Round[G]

	clients []*client[G]
	frames  [][]byte
	arena   []byte // the bytes read from the clients
	used    int
}

// returned is a client that an ordinary connection has given back.
type returned[G any] struct {
	fd    int
	guest G
}

// Options of a loop.
type Options struct {
	// IdleTimeout closes a connection on which no request comes for so long.
	IdleTimeout time.Duration
}

// New makes a loop on a listening socket. The loop owns the descriptor, even if New fails.
func New[G any](listener int, host Host[G], opts Options) (*Loop[G], error) {
	sys, err := newKernel(listener)
	if err != nil {
		return nil, err
	}
	return newLoop(sys, host, opts, time.Now), nil
}

func newLoop[G any](sys system, host Host[G], opts Options, now func() time.Time) *Loop[G] {
	l := &Loop[G]{
		host: host, sys: sys, idle: opts.IdleTimeout, now: now,
		events: make([]unix.EpollEvent, maxRound), begun: make(chan struct{}, 1), ended: make(chan struct{}),
	}
	l.ctx, l.end = context.WithCancel(context.Background()) //nolint:gosec // Stop calls end
	l.round = l.newRound()
	return l
}

func (l *Loop[G]) newRound() *round[G] {
	return &round[G]{Round: l.host.Round(), arena: make([]byte, maxRound*SmallFrame/8)}
}

// Start begins to serve.
func (l *Loop[G]) Start() {
	l.leaders = 1
	go l.lead()
	l.monitoring.Go(l.monitor)
}

// Stop ends the loop. The loop lets in no more clients (with drain, first the clients that are in the queue) and hands over the
// clients that the loop serves. Requests under way are answered first, or cancelled when ctx ends; the error says that a request
// did not end.
func (l *Loop[G]) Stop(ctx context.Context, drain bool) error {
	l.mu.Lock()
	l.stopped, l.drain = true, drain
	l.mu.Unlock()
	l.sys.wake()
	cut := context.AfterFunc(ctx, l.end)
	defer cut()
	select {
	case <-l.ended:
	case <-ctx.Done():
		l.end()
		select {
		case <-l.ended:
		case <-time.After(time.Second):
			return fmt.Errorf("the event loop: requests under way do not end: %w", context.Cause(ctx))
		}
	}
	l.end()
	l.monitoring.Wait()
	l.sys.end()
	return nil
}

// lead takes turns until a new leader takes over, or the loop has ended.
func (l *Loop[G]) lead() {
	for l.turn() {
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.leaders--; l.leaders == 0 {
		close(l.ended)
	}
}

// turn runs a round: the ready requests, a common answer, the replies. false ends the leader. Only turn reads and writes the
// loop's descriptors.
func (l *Loop[G]) turn() bool {
	runtime.Gosched() // other goroutines handle the last replies before a wait that the scheduler does not see
	n, err := l.sys.wait(l.events, l.patience())
	if err != nil {
		panic(fmt.Errorf("the event loop's poller: %w", err)) // no client could be served
	}
	knocked := false
	for i := range l.events[:n] {
		switch t := tokenIn(&l.events[i]); t {
		case tokenWoken:
			l.sys.woken()
			l.land()
		case tokenDoor:
			knocked = true
		default:
			if c := l.clients.get(t); c != nil { // nil: closed earlier
				c.ended = c.ended || l.events[i].Events&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0
				l.readable(c)
			}
		}
	}
	l.readAll()
	if knocked && !l.closing && !l.round.isFull() { // the poller reports the clients in the queue again
		l.acceptAll(n > 1)
	}
	if !l.answer() {
		return false
	}
	l.dropIdle()
	return l.goOn()
}

// patience is how long the poller may wait, in ms; -1: for ever.
func (l *Loop[G]) patience() int {
	switch {
	case len(l.ready) > 0:
		return 0
	case !l.shut.IsZero():
		return int(acceptPause / time.Millisecond)
	case l.clients.first != nil:
		return int(max(l.idle-l.now().Sub(l.clients.first.idleSince), 0)/time.Millisecond) + 1
	default:
		return -1
	}
}

func (l *Loop[G]) readable(c *client[G]) {
	if c.owed {
		c.more = true
		return
	}
	l.ready = append(l.ready, c)
}

// readAll reads the clients that are readable, as many as the round has room for.
func (l *Loop[G]) readAll() {
	for i, c := range l.ready {
		if l.round.isFull() {
			l.ready = append(l.ready[:0], l.ready[i:]...)
			return
		}
		if l.clients.get(c.token) == c && !c.owed { // two events may have listed the client twice
			l.read(c)
		}
	}
	clear(l.ready)
	l.ready = l.ready[:0]
}

func (r *round[G]) isFull() bool {
	return len(r.clients) >= maxRound || len(r.arena)-r.used < SmallFrame+1
}

// read reads the bytes of a client. A single whole hot frame joins the round; with any other bytes the client goes to an ordinary
// connection.
func (l *Loop[G]) read(c *client[G]) {
	r := l.round
	into := r.arena[r.used : r.used+SmallFrame+1]
	n, err := l.sys.read(c.fd, into)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return
	case err != nil || n == 0:
		l.drop(c)
		return
	}
	frame := into[:n:n]
	if !isWhole(frame) || l.flights.Load() >= maxFlights || l.closing || !r.Add(c.guest, frame[protocol.HeaderBytes:]) {
		l.handOver(c, frame, nil)
		return
	}
	c.owed, c.more = true, c.ended // no further event tells of the end
	l.clients.busy(c)
	r.clients, r.frames = append(r.clients, c), append(r.frames, frame)
	r.used += n
}

// isWhole says that the bytes are a single frame that the loop serves.
func isWhole(frame []byte) bool {
	n, ok := protocol.FrameBytes(frame)
	return ok && n == len(frame) && n <= SmallFrame
}

// acceptAll lets clients in: several if other clients are active, which empties a queue in few turns; otherwise a single client,
// which saves the call that finds an empty queue. The result says that no further client can be let in now. The caller has a
// round that is not full.
func (l *Loop[G]) acceptAll(several bool) (emptied bool) {
	for range maxAccepts {
		fd, err := l.sys.accept()
		switch {
		case errors.Is(err, unix.EAGAIN):
			return true
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.ECONNABORTED):
			continue
		case err != nil:
			l.host.CannotAccept(err)
			if l.sys.door(false) == nil {
				l.shut = l.now().Add(acceptPause)
			}
			return true
		}
		l.letIn(fd)
		if !several || l.round.isFull() {
			return false
		}
	}
	return false
}

func (l *Loop[G]) letIn(fd int) {
	guest, refusal := l.host.Enter(fd)
	if refusal != nil {
		_, _ = l.sys.write(fd, refusal) // a refusal fits the buffer of a fresh socket, and a client that has gone needs no refusal
		l.sys.close(fd)
		return
	}
	c := l.clients.put(fd, guest)
	l.clients.idle(c, l.now())
	l.read(c) // a client that connects for a single request has already sent it
	if l.clients.get(c.token) == c {
		l.watch(c)
	}
}

// watch has the poller report the client.
func (l *Loop[G]) watch(c *client[G]) {
	if err := l.sys.watch(c.fd, c.token); err != nil {
		l.host.CannotAccept(err)
		if !c.owed {
			l.drop(c)
		}
		return
	}
	c.watched = true
}

// answer answers the round and sends the replies. false: a new leader has taken over.
func (l *Loop[G]) answer() bool {
	r := l.round
	if len(r.clients) == 0 {
		return true
	}
	began := l.now()
	running := l.begin()
	r.Answer(l.ctx)
	l.host.Rounded(len(r.clients), l.now().Sub(began))
	if !l.state.CompareAndSwap(running, running-1) {
		l.mu.Lock()
		l.landed = append(l.landed, r)
		l.mu.Unlock()
		l.sys.wake()
		return false
	}
	l.reply(r)
	return true
}

// begin marks the round as running, and wakes the monitor.
func (l *Loop[G]) begin() (running uint64) {
	running = l.state.Load() + 3 // the next number, running
	l.state.Store(running)
	if !l.monitored.Load() {
		l.wakeMonitor()
	}
	return running
}

func (l *Loop[G]) wakeMonitor() {
	select {
	case l.begun <- struct{}{}:
	default: // it is being woken
	}
}

// reply sends a round's replies.
func (l *Loop[G]) reply(r *round[G]) {
	now := l.now()
	for i, c := range r.clients {
		c.owed = false
		frame, answered := r.Reply(i)
		if !answered {
			l.handOver(c, r.frames[i], nil)
			continue
		}
		n, err := l.sys.write(c.fd, frame)
		switch {
		case err != nil && !errors.Is(err, unix.EAGAIN):
			l.drop(c)
		case n < len(frame) || !c.watched:
			l.handOver(c, nil, frame[max(n, 0):])
		case c.more:
			c.more = false
			l.clients.idle(c, now)
			l.ready = append(l.ready, c)
		default:
			l.clients.idle(c, now)
		}
	}
	clear(r.clients)
	r.clients, r.frames, r.used = r.clients[:0], r.frames[:0], 0
	r.Reset()
}

// land sends the replies of flights that have ended, and takes back the clients of ordinary connections.
func (l *Loop[G]) land() {
	l.mu.Lock()
	landed, back := l.landed, l.returned
	l.landed, l.returned = nil, nil
	l.mu.Unlock()
	for _, r := range landed {
		l.reply(r)
		l.flights.Add(-1)
	}
	for _, b := range back {
		c := l.clients.put(b.fd, b.guest)
		l.clients.idle(c, l.now())
		l.watch(c) // the poller reports what the client has sent meanwhile
	}
}

// Return gives the loop a client that an ordinary connection has served, without a byte that was read and not answered or is owed
// to the client. false: the loop ends, and the caller continues to own the descriptor. Return may be called on any goroutine.
func (l *Loop[G]) Return(fd int, guest G) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.returned = append(l.returned, returned[G]{fd, guest})
	l.sys.wake()
	return true
}

func (l *Loop[G]) handOver(c *client[G], unread, owed []byte) {
	if c.watched {
		l.sys.forget(c.fd)
	}
	l.clients.remove(c)
	l.host.Adopt(c.fd, c.guest, unread, owed)
}

func (l *Loop[G]) drop(c *client[G]) {
	l.clients.remove(c)
	l.sys.close(c.fd)
	l.host.Leave(c.guest)
}

// dropIdle closes the connections without a request for too long, and opens the door again after a failed accept.
func (l *Loop[G]) dropIdle() {
	if l.clients.first == nil && l.shut.IsZero() {
		return
	}
	now := l.now()
	for c := l.clients.first; c != nil && now.Sub(c.idleSince) >= l.idle; c = l.clients.first {
		l.drop(c)
	}
	if !l.shut.IsZero() && !now.Before(l.shut) && !l.closing {
		if l.sys.door(true) == nil {
			l.shut = time.Time{}
		}
	}
}

// goOn says whether the loop takes a further turn. A stopped loop ends when the last client has gone.
func (l *Loop[G]) goOn() bool {
	if !l.closing {
		l.mu.Lock()
		stopped, drain := l.stopped, l.drain
		l.mu.Unlock()
		if !stopped {
			return true
		}
		l.closing = true
		l.land() // no client returns from here on
		for drain && !l.acceptAll(true) {
			continue
		}
		_ = l.sys.door(false)
		l.shut = time.Time{}
	}
	for _, s := range l.clients.all {
		if c := s.client; c != nil && !c.owed {
			l.handOver(c, nil, nil)
		}
	}
	clear(l.ready)
	l.ready = l.ready[:0]
	return l.clients.live > 0
}

// monitor relieves the leader whose round takes longer than a tick.
func (l *Loop[G]) monitor() {
	timer := time.NewTimer(tick)
	defer timer.Stop()
	for {
		l.monitored.Store(false)
		if l.state.Load()%2 == 1 { // the round began before, and did not wake the monitor
			l.wakeMonitor()
		}
		select {
		case <-l.begun:
		case <-l.ctx.Done():
			return
		}
		l.monitored.Store(true)
		for last, quiet := uint64(0), 0; quiet < quietTicks; {
			timer.Reset(tick)
			select {
			case <-timer.C:
			case <-l.ctx.Done():
				return
			}
			state := l.state.Load()
			switch {
			case state != last:
				quiet = 0
			case state%2 == 0:
				quiet++
			default: // seen twice
				l.relieve(state)
			}
			last = state
		}
	}
}

// relieve starts a new leader with a new round, unless the round of that state has ended. From then on the old leader owns only
// the old round.
func (l *Loop[G]) relieve(state uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.state.CompareAndSwap(state, state-1) {
		return
	}
	l.flights.Add(1)
	l.round = l.newRound()
	l.leaders++ // the old leader has not ended: its round was under way
	go l.lead()
}

func tokenIn(e *unix.EpollEvent) token { return token(uint32(e.Pad))<<32 | token(uint32(e.Fd)) } //nolint:gosec // likewise
