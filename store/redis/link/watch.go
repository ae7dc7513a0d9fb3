package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
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

// Watch knows whether Redis answers: in a cluster, which of its partitions do. It sits in a client as a hook: the first command
// that Redis does not answer takes its partition down, from then on commands to it fail at once instead of each waiting for its
// time-out, and one prober asks until all is back. A partition that comes and goes is damped: see damping. Start and Stop are
// idempotent.
type Watch struct {
	client   goredis.UniversalClient
	prefixes []string // see [ClientOptions]
	unproved bool
	log      zerolog.Logger
	down     chan struct{} // wakes the prober

	mu      sync.Mutex
	doubted bool    // an answer was not understood: the prober is to find out whether Redis works
	reasons []error // per partition: why it is down; nil where it answers
	away    int     // how many are down
	damped  []damping
	// undialled says that a connection could not be made since a partition was back last.
	undialled bool
	since     time.Time
	onUp      []func()
	onRun     []TakeOver
	run       string        // the run_id of the process that the last connection led to; see nodeHook for those of a cluster
	leads     []*process    // per partition of a cluster: the process that served it last
	taking    chan struct{} // full while somebody tells of another process
	proved    string        // the run_id of the process that was last found to do what the scripts need

	loop lifecycle.Loop
}

// State tells whether all of Redis answers, since when that is so, and why it does not.
func (w *Watch) State() (up bool, since time.Time, reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := cmp.Or(w.reasons...)
	switch {
	case err == nil:
		return true, w.since, ""
	case w.away < len(w.reasons):
		return false, w.since, fmt.Sprintf("%d of %d parts of the cluster: %v", w.away, len(w.reasons), err)
	default:
		return false, w.since, err.Error()
	}
}

// Up tells whether a partition answers.
func (w *Watch) Up(partition int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.reasons[partition] == nil
}

// OnUp has f called, on the prober's goroutine, each time that Redis, or a partition of it, is back.
func (w *Watch) OnUp(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onUp = append(w.onUp, f)
}

// TakeOver is told that partitions are served by another process than before, before anything else is sent to it, and may send
// commands to it over on. run is the process' run_id, empty where it is unknown. After an error the process counts as one that
// does not answer yet, and the same call is made again.
type TakeOver func(ctx context.Context, on goredis.Scripter, run string, partitions []int) error

// OnRun has f called when a connection turns out to lead to another Redis process than the one before, before that
// connection, or any other to that process, is used for anything else.
func (w *Watch) OnRun(f TakeOver) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onRun = append(w.onRun, f)
}

// Connected is a client's OnConnect: it looks which process a new connection leads to. Where that cannot be told (INFO may be
// forbidden), it counts as another one. A process that was not seen before must do what the scripts need.
func (w *Watch) Connected(ctx context.Context, conn *goredis.Conn) error {
	asked := Probing(ctx) // it is to find out, whatever is known so far
	run, sentinel, err := runID(asked, conn)
	if err != nil || sentinel { // go-redis tells of its connections to sentinels, too
		return err
	}
	w.mu.Lock()
	proved := run != "" && run == w.proved || w.unproved || ctx.Value(probing{}) != nil // who probes finds out anyway
	w.mu.Unlock()
	if !proved {
		if proved, err = w.prove(asked, conn, 0); err != nil {
			return err
		}
	}
	if proved && ctx.Value(probing{}) == nil {
		w.mu.Lock()
		w.proved = run
		w.mu.Unlock()
	}
	return w.takeOver(ctx, func() (goredis.Scripter, string, []int) {
		// The first connection of this daemon proves nothing; whether Redis was replaced before it is for Reconcile to say.
		if run != "" && (run == w.run || w.run == "") {
			w.run = run
			return nil, "", nil
		}
		return conn, run, []int{0}
	}, func() { w.run = run })
}

// errTaking is what a connection meets that leads to yet another process than the one that is being told of.
var errTaking = fmt.Errorf("redis was replaced again: %w", store.ErrUnavailable)

// tellingKey marks the context of what is sent to another process before all else.
type tellingKey struct{}

// takeOver runs the callbacks for a process that has replaced another one, for one process after the other. news returns the
// process and its partitions, none where it is known already; done notes that the callbacks have run. Both hold the lock.
func (w *Watch) takeOver(
	ctx context.Context, news func() (on goredis.Scripter, run string, partitions []int), done func(),
) error {
	if ctx.Value(tellingKey{}) != nil {
		return errTaking
	}
	select {
	case w.taking <- struct{}{}:
		defer func() { <-w.taking }()
	case <-ctx.Done():
		return ctx.Err()
	}
	w.mu.Lock()
	on, run, partitions := news()
	tell := w.onRun
	w.mu.Unlock()
	if len(partitions) == 0 {
		return nil
	}
	ctx = context.WithValue(context.WithValue(ctx, tellingKey{}, true), probing{}, true)
	for _, f := range tell {
		if err := f(ctx, on, run, partitions); err != nil {
			return err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	done()
	return nil
}

// runID asks a process for its id (empty where it does not say), and whether it is a sentinel.
func runID(ctx context.Context, conn *goredis.Conn) (run string, sentinel bool, err error) {
	text, err := conn.Info(ctx, "server").Result()
	if err != nil && IsAway(err) {
		return "", false, err
	}
	info := ParseInfo(text)
	return info["run_id"], info["redis_mode"] == "sentinel" || info["server_mode"] == "sentinel", nil
}

// Start begins probing.
func (w *Watch) Start(ctx context.Context) { w.loop.Start(ctx, w.probe) }

// Stop ends probing and waits for it, until ctx ends.
func (w *Watch) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "Redis prober") }

// probe waits until Redis is found to be away and asks until all of it is back.
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
		if up, _, _ := w.State(); up && !w.doubts() {
			continue
		}
		w.note(w.ask(context.WithValue(ctx, probing{}, true)))
		if up, _, _ := w.State(); up || ctx.Err() != nil {
			continue
		}
		pause = min(2*pause, lastProbe)
		timer.Reset(pause/2 + rand.N(pause/2))
	}
}

// Prove finds out whether Redis does what the scripts need, for whoever does not wait until the first command shows it.
func (w *Watch) Prove(ctx context.Context) {
	errs := w.ask(Probing(ctx))
	if ctx.Err() == nil || !slices.Contains(errs, nil) {
		w.note(errs)
	}
	if up, _, _ := w.State(); !up {
		w.wake()
	}
}

// doubts says, once, that an answer was not understood.
func (w *Watch) doubts() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubted := w.doubted
	w.doubted = false
	return doubted
}

// ask asks each partition whether it does what the scripts need. A PING is answered by a replica too, by one that lost its master
// or its disk, or where a command is forbidden, and the next write would take Redis down again. A cluster's client would
// otherwise look only once a minute who serves what.
func (w *Watch) ask(ctx context.Context) []error {
	if cluster, several := w.client.(*goredis.ClusterClient); several {
		cluster.ReloadState(ctx)
	}
	return probeAll(ctx, w.client, len(w.reasons), w.prefixes)
}

// note takes up which partitions answered the prober, and tells when some are back.
func (w *Watch) note(errs []error) {
	w.mu.Lock()
	now := time.Now()
	before := w.away
	back := w.recovered(errs, now)
	tell, left := w.onUp, w.away
	took := now.Sub(w.since)
	if left == 0 && before > 0 || left > 0 && before == 0 {
		w.since = now
	}
	w.mu.Unlock()
	switch {
	case before == 0 && left > 0:
		w.log.Error().Err(cmp.Or(errs...)).Msg("Redis does not do what ticketd needs; looking for it until it does")
	case before > 0 && left == 0:
		w.log.Info().Dur("away", took).Msg("Redis is back")
	case back > 0:
		w.log.Info().Int("back", back).Int("away", left).Msg("a part of the Redis Cluster is back")
	}
	for _, f := range tell {
		if back > 0 {
			f()
		}
	}
}

// recovered notes which partitions answer, and returns how many of them did not before. The caller holds the lock.
func (w *Watch) recovered(errs []error, now time.Time) (back int) {
	w.away = 0
	for p, err := range errs {
		switch {
		case err != nil:
			w.reasons[p] = err
		case w.reasons[p] != nil && w.damped[p].up(now):
			w.reasons[p] = nil
			back++
		}
		if w.reasons[p] != nil {
			w.away++
		}
	}
	if back > 0 {
		w.undialled = false
	}
	return back
}

func (w *Watch) setDown(partition int, err error) {
	w.mu.Lock()
	first := w.away == 0
	if first {
		w.since = time.Now()
	}
	if w.reasons[partition] == nil {
		w.away++
		w.damped[partition].down(time.Now())
	}
	w.reasons[partition] = err
	w.mu.Unlock()
	if first {
		w.log.Error().Err(err).Msg("Redis does not answer; looking for it until it is back")
	}
	w.wake()
}

// wake has the prober ask at once.
func (w *Watch) wake() {
	select {
	case w.down <- struct{}{}:
	default:
	}
}

// doubt has the prober find out whether Redis works. Until it has, Redis counts as what it was: an answer that is not understood
// may be about one ticket.
func (w *Watch) doubt() {
	w.mu.Lock()
	w.doubted = true
	w.mu.Unlock()
	w.wake()
}

// probing marks the context of the prober's own commands.
type probing struct{}

// Probing marks the context of commands that find out for themselves whether Redis answers: their errors are Redis' own words.
func Probing(ctx context.Context) context.Context { return context.WithValue(ctx, probing{}, true) }

// refuses says that a command is not to be sent, as its partition is away.
func (w *Watch) refuses(ctx context.Context, cmd goredis.Cmder) bool {
	if ctx.Value(probing{}) != nil {
		return false
	}
	partition, known := w.partitionOf(cmd)
	return known && !w.Up(partition)
}

// look takes a partition down where a command's error says that it is away, and has the prober find out where Redis refuses a
// command. A caller that gave up, or a pool that is used up, says nothing about Redis.
func (w *Watch) look(ctx context.Context, cmd goredis.Cmder, err error) {
	if err == nil || ctx.Err() != nil || ctx.Value(probing{}) != nil || errors.Is(err, errDown) ||
		errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrClosed) || IsFull(err) || isUnderstood(err) {
		return
	}
	if IsRefusal(err) {
		if name := cmd.Name(); name != "hello" && name != "client" { // go-redis' greeting, which does without what is refused
			w.doubt()
		}
		return
	}
	if refusedDial(err) && !w.dialFailed() {
		return // the error is from before Redis was back
	}
	if partition, known := w.partitionOf(cmd); known {
		w.setDown(partition, err)
	}
}

// dialled takes up what came of a try to connect.
func (w *Watch) dialled(err error) {
	if err != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.undialled = true
	}
}

func (w *Watch) dialFailed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.undialled
}

// DialHook implements goredis.Hook.
func (w *Watch) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		w.dialled(err)
		return conn, err
	}
}

// ProcessHook implements goredis.Hook.
func (w *Watch) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if w.refuses(ctx, cmd) {
			cmd.SetErr(errDown)
			return errDown
		}
		err := next(w.once(ctx), cmd)
		w.look(ctx, cmd, err)
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook. Commands to partitions that are away are left out.
func (w *Watch) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		sent := make([]goredis.Cmder, 0, len(cmds))
		for _, cmd := range cmds {
			if w.refuses(ctx, cmd) {
				cmd.SetErr(errDown)
			} else {
				sent = append(sent, cmd)
			}
		}
		var err error
		if len(sent) > 0 {
			err = next(w.once(ctx), sent)
			blame(sent, err)
			w.lookAtAll(ctx, sent, err)
		}
		if err == nil && len(sent) < len(cmds) {
			err = errDown
		}
		return err
	}
}

// blame gives the error of a pipeline to its commands where none has one: go-redis forgets them where Redis refuses the
// connection, as with a wrong password, and they would seem to have been answered.
func blame(cmds []goredis.Cmder, err error) {
	if err == nil || slices.ContainsFunc(cmds, func(cmd goredis.Cmder) bool { return cmd.Err() != nil }) {
		return
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// lookAtAll looks at each command of a pipeline that failed. The error of the whole is that of its first.
func (w *Watch) lookAtAll(ctx context.Context, cmds []goredis.Cmder, err error) {
	if err == nil {
		return
	}
	if len(w.reasons) == 1 {
		w.look(ctx, cmds[0], err)
		return
	}
	for _, cmd := range cmds {
		w.look(ctx, cmd, cmd.Err())
	}
}

const (
	// steadyFor is how long a partition must have answered before its next outage counts as one of its own.
	steadyFor = 5 * time.Second
	// The times for which a partition stays down at least that goes away again before that.
	firstHold = 250 * time.Millisecond
	lastHold  = 2 * time.Second
)

// damping keeps a partition down that comes and goes: each turn runs all that an outage and a recovery run, and while a partition
// is down its changes are safe in the journal.
type damping struct {
	back time.Time     // when the partition answered again last
	hold time.Duration // how long its present outage lasts at least; 0 where it follows a steady time
	till time.Time     // when that is over
}

// down notes that the partition goes away.
func (d *damping) down(now time.Time) {
	switch {
	case d.back.IsZero() || now.Sub(d.back) >= steadyFor:
		d.hold = 0
	default:
		d.hold = min(max(2*d.hold, firstHold), lastHold)
	}
	d.till = now.Add(d.hold)
}

// up tells whether the partition, which answers, may count as back.
func (d *damping) up(now time.Time) bool {
	if now.Before(d.till) {
		return false
	}
	d.back = now
	return true
}

// refusedDial tells whether an error is that of a connection which could not be made. go-redis answers with the last such error
// for up to a second more, without trying.
func refusedDial(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}
