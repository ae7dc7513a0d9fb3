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

	"github.com/ticketd/ticketd/internal/health"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/store"
)

// The pauses between the prober's questions while Redis is away.
const (
	firstProbe = 50 * time.Millisecond
	lastProbe  = time.Second
)

// errDown is the error of commands while Redis is known to be away.
var errDown = fmt.Errorf("redis is away: %w", store.ErrUnavailable)

// Watch knows whether Redis, or each partition of a cluster, answers. A watch sits in a client as a hook: the first command
// without an answer takes its partition down; from then on commands to the partition fail at once instead of each waiting for its
// time-out, and one prober asks until all partitions answer. A partition that comes and goes is damped: see [health.Damping].
// Start and Stop are idempotent.
type Watch struct {
	client   goredis.UniversalClient
	prefixes []string // see [ClientOptions]
	unproved bool
	log      zerolog.Logger
	down     chan struct{} // wakes the prober

	mu      sync.Mutex
	doubted bool    // an answer was not understood, or late: the prober is to find out whether Redis works
	reasons []error // per partition: why the partition is down; nil where the partition answers
	away    int     // how many are down
	damped  []health.Damping
	// undialled says that a connection could not be made since a partition was back last.
	undialled bool
	since     time.Time
	onUp      []func()
	onRun     []TakeOver
	run       string        // the run_id of the process behind the last connection; a cluster's processes are in nodeHook
	leads     []*process    // per partition of a cluster: the last process of the partition
	taking    chan struct{} // full while callbacks run for another process
	proved    string        // the run_id of the process that last ran all commands that the scripts need

	loop lifecycle.Loop
}

// State tells whether all of Redis answers, since when, and why not.
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

// OnUp registers f to run on the prober's goroutine whenever Redis or one of its partitions recovers.
func (w *Watch) OnUp(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onUp = append(w.onUp, f)
}

// TakeOver hears that another process than before serves partitions, before any other command goes to that process, and may send
// commands to the process over on. run is the process' run_id, empty where unknown. After an error the process counts as a
// process that does not answer yet, and the watch repeats the call.
type TakeOver func(ctx context.Context, on goredis.Scripter, run string, partitions []int) error

// OnRun registers f to run when a connection turns out to lead to another Redis process than the connection before. f runs before
// the client uses that connection, or any other connection to that process.
func (w *Watch) OnRun(f TakeOver) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.onRun = append(w.onRun, f)
}

// Connected is a client's OnConnect: Connected reads which process a new connection leads to. An unknown process (INFO may be
// forbidden) counts as another process. A new process must run all commands that the scripts need.
func (w *Watch) Connected(ctx context.Context, conn *goredis.Conn) error {
	asked := Probing(ctx) // the command must reach Redis, whether Redis counts as up or down
	run, sentinel, err := runID(asked, conn)
	if err != nil || sentinel { // go-redis runs OnConnect on connections to sentinels, too
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
		// The first connection of this daemon proves no change of process; Reconcile finds out whether Redis was replaced
		// earlier.
		if run != "" && (run == w.run || w.run == "") {
			w.run = run
			return nil, "", nil
		}
		return conn, run, []int{0}
	}, func() { w.run = run })
}

// errTaking is the error of a connection to a further process while callbacks run for another process.
var errTaking = fmt.Errorf("redis was replaced again: %w", store.ErrUnavailable)

// tellingKey marks the context of the first commands to another process.
type tellingKey struct{}

// takeOver runs the callbacks for a process that has replaced another process, for one process after the other. news returns the
// process and its partitions, or no partition where the process is known already; done notes that the callbacks have run.
// takeOver holds the lock during news and done.
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

// runID asks a process for its id (empty where the process does not say), and whether the process is a sentinel.
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

// Stop ends probing and waits for the prober, until ctx ends.
func (w *Watch) Stop(ctx context.Context) error { return w.loop.Stop(ctx, "Redis prober") }

// probe waits until Redis is found to be away and asks until all partitions answer.
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

// Prove finds out whether Redis runs all commands that the scripts need, for a caller that does not wait for the first command.
func (w *Watch) Prove(ctx context.Context) {
	errs := w.ask(Probing(ctx))
	if ctx.Err() == nil || !slices.Contains(errs, nil) {
		w.note(errs)
	}
	if up, _, _ := w.State(); !up {
		w.wake()
	}
}

// doubts says, once, that an answer was not understood, or late.
func (w *Watch) doubts() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	doubted := w.doubted
	w.doubted = false
	return doubted
}

// ask makes each partition run all commands that the scripts need. A PING proves too little: a replica answers PING, too, and so
// does a server that lost its master or its disk, or that forbids a command, and the next write would take Redis down again. A
// cluster's client would otherwise read the cluster's layout only once a minute.
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
		w.log.Error().Err(cmp.Or(errs...)).Msg("Redis does not answer the commands that ticketd needs; probing until Redis does")
	case before > 0 && left == 0:
		w.log.Info().Stringer("away", took.Round(time.Millisecond)).Msg("Redis is back")
	case back > 0:
		w.log.Info().Int("back", back).Int("away", left).Msg("a part of the Redis Cluster is back")
	}
	for _, f := range tell {
		if back > 0 {
			f()
		}
	}
}

// recovered notes which partitions answer, and returns how many of these did not answer before. The caller holds the lock.
func (w *Watch) recovered(errs []error, now time.Time) (back int) {
	w.away = 0
	for p, err := range errs {
		switch {
		case err != nil:
			w.reasons[p] = err
		case w.reasons[p] != nil && w.damped[p].Up(now):
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
		w.damped[partition].Down(time.Now())
	}
	w.reasons[partition] = err
	w.mu.Unlock()
	if first {
		w.log.Error().Err(err).Msg("Redis does not answer; probing until Redis answers")
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

// doubt makes the prober find out whether Redis works. Until then Redis counts as up or down as before: the unknown answer may be
// about one ticket, and the late one a large one to a caller in a hurry.
func (w *Watch) doubt() {
	w.mu.Lock()
	w.doubted = true
	w.mu.Unlock()
	w.wake()
}

// probing marks the context of the prober's own commands.
type probing struct{}

// Probing marks the context of commands that find out whether Redis answers: their errors are Redis' own words.
func Probing(ctx context.Context) context.Context { return context.WithValue(ctx, probing{}, true) }

// refuses says that a command must not be sent, as its partition is away.
func (w *Watch) refuses(ctx context.Context, cmd goredis.Cmder) bool {
	if ctx.Value(probing{}) != nil {
		return false
	}
	partition, known := w.partitionOf(cmd)
	return known && !w.Up(partition)
}

// look takes a partition down where a command's error says that the partition is away, and makes the prober find out where Redis
// refuses a command, or has not answered within a caller's own time. A caller that went away, or an exhausted pool, proves
// nothing.
func (w *Watch) look(ctx context.Context, cmd goredis.Cmder, err error) {
	if err == nil || errors.Is(ctx.Err(), context.Canceled) || ctx.Value(probing{}) != nil || provesNothing(err) {
		return
	}
	if expired(ctx) {
		w.doubt()
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

// provesNothing tells whether an error is not about Redis being there.
func provesNothing(err error) bool {
	return errors.Is(err, errDown) || errors.Is(err, goredis.ErrPoolTimeout) || errors.Is(err, goredis.ErrClosed) ||
		IsFull(err) || isUnderstood(err)
}

// expired tells whether a caller's time is over. The connection's deadline is the caller's, and may end the command before the
// context's own timer has run.
func expired(ctx context.Context) bool {
	deadline, has := ctx.Deadline()
	return has && !time.Now().Before(deadline)
}

// dialled notes the outcome of a dial.
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

// blame gives the error of a pipeline to its commands where no command has an error: where Redis refuses the connection, as with
// a wrong password, go-redis forgets the commands' errors, and the commands would look answered.
func blame(cmds []goredis.Cmder, err error) {
	if err == nil || slices.ContainsFunc(cmds, func(cmd goredis.Cmder) bool { return cmd.Err() != nil }) {
		return
	}
	for _, cmd := range cmds {
		cmd.SetErr(err)
	}
}

// lookAtAll looks at each command of a failed pipeline. The error of the pipeline is the error of its first command.
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

// lastHold bounds the least time for which a partition stays down that comes and goes; while a partition is down, the journal
// keeps its changes.
const lastHold = 2 * time.Second

// refusedDial tells whether an error is the error of a failed dial. go-redis answers with the last such error for up to a second
// more, without a dial.
func refusedDial(err error) bool {
	op := (*net.OpError)(nil)
	return errors.As(err, &op) && op.Op == "dial"
}
