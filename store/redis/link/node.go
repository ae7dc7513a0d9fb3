package link

import (
	"cmp"
	"context"
	"net"
	"sync"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"
)

// process is one life of a cluster's node. The address in memory tells a process from other processes.
type process struct {
	run    string
	proved atomic.Bool // the process runs all commands that the scripts need
}

// nodeHook sits in the client of one node of a cluster and adds two features to the cluster's client.
//
// A call sends no command twice to a node that did not answer: go-redis would repeat the command.
//
// The hook notices that another process than before serves a partition, before the first command goes to that process: after a
// fail-over the process may have gone back in time.
type nodeHook struct {
	watch  *Watch
	client *goredis.Client

	mu      sync.Mutex
	current *process // nil before the first connection
}

// connected is the node's OnConnect.
func (n *nodeHook) connected(ctx context.Context, conn *goredis.Conn) error {
	run, _, err := runID(ctx, conn)
	if err != nil {
		return err
	}
	n.mu.Lock()
	before := n.current
	if before == nil {
		n.current = &process{run: run}
	}
	n.mu.Unlock()
	if before == nil || run != "" && run == before.run {
		return nil
	}
	now := &process{run: run}
	for p := range n.watch.leads {
		if err := n.watch.handOver(ctx, p, before, now, conn); err != nil && !HasMoved(err) {
			return err
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current = now
	return nil
}

// process returns the process behind the node's address, and connects first without a connection.
func (n *nodeHook) process(ctx context.Context) *process {
	known := func() *process {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.current
	}
	if p := known(); p != nil {
		return p
	}
	_ = n.client.Ping(context.WithValue(ctx, connecting{}, true)).Err() // the command shows the error
	return known()
}

// connecting marks the context of a command that only connects.
type connecting struct{}

// handOver tells the callbacks that another process serves a partition, unless the former process did not serve the partition.
func (w *Watch) handOver(ctx context.Context, partition int, before, now *process, on goredis.Scripter) error {
	return w.takeOver(ctx, func() (goredis.Scripter, string, []int) {
		if w.leads[partition] != before {
			return nil, "", nil
		}
		return on, now.run, []int{partition}
	}, func() { w.leads[partition] = now })
}

// serves notes that a node is about to receive a command, and tells the callbacks where another process served the partition
// before. After an error the caller must not send the command.
func (n *nodeHook) serves(ctx context.Context, cmd goredis.Cmder) error {
	w, now := n.watch, n.process(ctx)
	partition, known := w.partitionOf(cmd)
	if now == nil || !known {
		return nil
	}
	w.mu.Lock()
	before := w.leads[partition]
	if before == nil {
		w.leads[partition] = now
	}
	w.mu.Unlock()
	if before == nil || before == now {
		return nil
	}
	if err := w.handOver(ctx, partition, before, now, n.client); err != nil && !HasMoved(err) {
		return err
	}
	return nil // a node that does not serve the partition says so to the command, too
}

// prove makes a process run all commands that the scripts need, before the first command goes to the process.
func (n *nodeHook) prove(ctx context.Context, now *process, cmd goredis.Cmder) error {
	partition, known := n.watch.partitionOf(cmd)
	if now == nil || !known || now.proved.Load() || n.watch.unproved || ctx.Value(probing{}) != nil {
		return nil
	}
	proved, err := n.watch.prove(context.WithValue(ctx, connecting{}, true), n.client, partition)
	now.proved.Store(proved)
	return err
}

// attempts are the nodes that did not answer a call so far.
type attempts struct {
	mu   sync.Mutex
	lost map[*nodeHook]error
}

type attemptsKey struct{}

// once marks a call to a cluster, so that no node receives the call again after a lost reply.
func (w *Watch) once(ctx context.Context) context.Context {
	if len(w.leads) == 1 {
		return ctx
	}
	return context.WithValue(ctx, attemptsKey{}, &attempts{lost: make(map[*nodeHook]error)})
}

func (a *attempts) before(n *nodeHook) error {
	if a == nil {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.lost[n]
}

// after notes an error that is no answer of Redis.
func (a *attempts) after(n *nodeHook, err error) {
	if a == nil || err == nil || goredis.HasErrorPrefix(err, "") {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lost[n] = err
}

// DialHook implements goredis.Hook.
func (n *nodeHook) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		n.watch.dialled(err)
		return conn, err
	}
}

// ProcessHook implements goredis.Hook.
func (n *nodeHook) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if ctx.Value(connecting{}) != nil || ctx.Value(tellingKey{}) != nil {
			return next(ctx, cmd)
		}
		tried, _ := ctx.Value(attemptsKey{}).(*attempts)
		if err := tried.before(n); err != nil {
			cmd.SetErr(err)
			return err
		}
		if tried != nil {
			if err := cmp.Or(n.prove(ctx, n.process(ctx), cmd), n.serves(ctx, cmd)); err != nil {
				cmd.SetErr(err)
				return err
			}
		}
		err := next(ctx, cmd)
		tried.after(n, err)
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (n *nodeHook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if ctx.Value(connecting{}) != nil || ctx.Value(tellingKey{}) != nil { // go-redis greets with a pipeline
			return next(ctx, cmds)
		}
		tried, _ := ctx.Value(attemptsKey{}).(*attempts)
		if err := tried.before(n); err != nil {
			return err // go-redis gives the error to the commands, and does not try again
		}
		if tried != nil {
			for _, cmd := range cmds {
				if err := cmp.Or(n.prove(ctx, n.process(ctx), cmd), n.serves(ctx, cmd)); err != nil {
					return err
				}
			}
		}
		err := next(ctx, cmds)
		tried.after(n, err)
		return err
	}
}
