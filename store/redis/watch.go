package redis

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/store"
)

// The pauses between the prober's questions while Redis is away.
const (
	firstProbe = 50 * time.Millisecond
	lastProbe  = time.Second
)

// errDown is what commands meet while Redis is known to be away.
var errDown = fmt.Errorf("redis is away: %w", store.ErrUnavailable)

// Watch knows whether Redis answers. It sits in a client as a hook: the first command that Redis does not answer takes it
// down, from then on commands fail at once instead of each waiting for its time-out, and one prober asks until Redis is
// back. Start and Stop are idempotent.
type Watch struct {
	client goredis.UniversalClient
	log    zerolog.Logger
	down   chan struct{} // wakes the prober

	mu     sync.Mutex
	up     bool
	since  time.Time
	reason string
	onUp   []func()
	onRun  []func()
	run    string // the run_id of the process that the last connection led to

	loop lifecycle.Loop
}

// Connect makes a client with a watch in it. Redis counts as up until a command fails.
func Connect(o ClientOptions, log zerolog.Logger) (*goredis.Client, *Watch) {
	w := &Watch{log: log, down: make(chan struct{}, 1), up: true, since: time.Now()}
	client := newClient(o, w.Connected)
	client.AddHook(w)
	w.client = client
	return client, w
}

// State tells whether Redis answers, since when that is so, and why it does not.
func (w *Watch) State() (up bool, since time.Time, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.up, w.since, w.reason
}

// OnUp has f called, on the prober's goroutine, each time Redis is back.
func (w *Watch) OnUp(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onUp = append(w.onUp, f)
}

// OnRun has f called when a connection turns out to lead to another Redis process than the one before, before that
// connection is used for anything else. f must not block.
func (w *Watch) OnRun(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onRun = append(w.onRun, f)
}

// Connected is a client's OnConnect: it looks which process a new connection leads to. Where that cannot be told (INFO may be
// forbidden), it counts as another one.
func (w *Watch) Connected(ctx context.Context, conn *goredis.Conn) error {
	text, err := conn.Info(ctx, "server").Result()
	if err != nil && isUnavailable(err) && !strings.HasPrefix(err.Error(), "NOPERM") {
		return err
	}
	run := parseInfo(text)["run_id"]
	w.mu.Lock()
	// The first connection of this daemon proves nothing; whether Redis was replaced before it is for Reconcile to say.
	same := run != "" && (run == w.run || w.run == "")
	w.run = run
	tell := w.onRun
	w.mu.Unlock()
	if same {
		return nil
	}
	for _, f := range tell {
		f()
	}
	return nil
}

// Start begins probing.
func (w *Watch) Start(ctx context.Context) { w.loop.Start(ctx, w.probe) }

// Stop ends probing and waits for it, until ctx ends.
func (w *Watch) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "Redis prober") }

// probe waits until Redis is found to be away and asks until it is back.
func (w *Watch) probe(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	pause := firstProbe
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.down:
			pause = firstProbe
			timer.Reset(0)
			continue
		case <-timer.C:
		}
		if up, _, _ := w.State(); up {
			continue
		}
		if err := w.ask(context.WithValue(ctx, probing{}, true)); err == nil {
			w.setUp()
			continue
		}
		pause = min(2*pause, lastProbe)
		timer.Reset(pause/2 + rand.N(pause/2))
	}
}

// ask asks Redis whether it takes writes, by one that changes nothing. A PING is answered by a replica too, by one that lost its
// master or its disk, and the next write would take Redis down again.
func (w *Watch) ask(ctx context.Context) error {
	err := w.client.Unlink(ctx, probeKey).Err()
	if err != nil && strings.HasPrefix(err.Error(), "NOPERM") { // this user may not write there; Redis answers
		return nil
	}
	return err
}

// probeKey is the name of a key that is never made.
const probeKey = "ticketd:probe"

func (w *Watch) setUp() {
	w.mu.Lock()
	away := time.Since(w.since)
	w.up, w.since, w.reason = true, time.Now(), ""
	tell := w.onUp
	w.mu.Unlock()
	w.log.Info().Dur("away", away).Msg("Redis is back")
	for _, f := range tell {
		f()
	}
}

func (w *Watch) setDown(err error) {
	w.mu.Lock()
	was := w.up
	if was {
		w.since = time.Now()
	}
	w.up, w.reason = false, err.Error()
	w.mu.Unlock()
	if was {
		w.log.Error().Err(err).Msg("Redis does not answer; looking for it until it is back")
	}
	select {
	case w.down <- struct{}{}:
	default:
	}
}

// probing marks the context of the prober's own commands.
type probing struct{}

func (w *Watch) refuses(ctx context.Context) bool {
	if ctx.Value(probing{}) != nil {
		return false
	}
	up, _, _ := w.State()
	return !up
}

// look takes Redis down where a command's error says that it is away. A caller that gave up, or a pool that is used up, says
// nothing about Redis.
func (w *Watch) look(ctx context.Context, err error) {
	if err == nil || ctx.Err() != nil || ctx.Value(probing{}) != nil || errors.Is(err, errDown) ||
		strings.HasPrefix(err.Error(), "NOPERM") || // this user may not; Redis answers
		errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrClosed) || isFull(err) || !isUnavailable(err) {
		return
	}
	w.setDown(err)
}

// DialHook implements goredis.Hook.
func (w *Watch) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements goredis.Hook.
func (w *Watch) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if w.refuses(ctx) {
			cmd.SetErr(errDown)
			return errDown
		}
		err := next(ctx, cmd)
		w.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (w *Watch) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if w.refuses(ctx) {
			for _, cmd := range cmds {
				cmd.SetErr(errDown)
			}
			return errDown
		}
		err := next(ctx, cmds)
		w.look(ctx, err)
		return err
	}
}
