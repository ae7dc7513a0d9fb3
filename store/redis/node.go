package redis

import (
	"context"
	"net"
	"sync"

	goredis "github.com/redis/go-redis/v9"
)

// process is one life of a cluster's node. Its address in memory tells it from others.
type process struct{ run string }

// nodeHook sits in the client of one node of a cluster. It does two things that the cluster's client does not:
//
// It sees to it that nothing is sent twice in one call to a node that did not answer: go-redis would repeat it.
//
// And it notices that a partition is served by another process than before, before the first command is sent to that: after a
// fail-over it may have gone back in time.
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
	same := before != nil && run != "" && run == before.run
	if !same {
		n.current = &process{run: run}
	}
	now := n.current
	n.mu.Unlock()
	if before != nil && !same {
		n.watch.replaced(before, now)
	}
	return nil
}

// process returns the process behind the node's address, after connecting where there was no connection yet.
func (n *nodeHook) process(ctx context.Context) *process {
	known := func() *process {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.current
	}
	if p := known(); p != nil {
		return p
	}
	_ = n.client.Ping(context.WithValue(ctx, connecting{}, true)).Err() // what is wrong shows with the command
	return known()
}

// connecting marks the context of a command that is only there to connect.
type connecting struct{}

// replaced notes that a node has another process, which serves what the old one did.
func (w *Watch) replaced(before, now *process) {
	w.mu.Lock()
	served := false
	for p := range w.leads {
		if w.leads[p] == before {
			w.leads[p], served = now, true
		}
	}
	w.mu.Unlock()
	if served {
		w.tellRun()
	}
}

// serves notes that a process is about to serve a command, and says so where its partition was another's before.
func (w *Watch) serves(now *process, cmd goredis.Cmder) {
	partition, known := w.partitionOf(cmd)
	if now == nil || !known {
		return
	}
	w.mu.Lock()
	before := w.leads[partition]
	w.leads[partition] = now
	w.mu.Unlock()
	if before != nil && before != now {
		w.tellRun()
	}
}

// attempts is what happened to one call so far: the nodes that did not answer it.
type attempts struct {
	mu   sync.Mutex
	lost map[*nodeHook]error
}

type attemptsKey struct{}

// once marks a call to a cluster, so that no node is sent it again after a reply was lost.
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

// after notes an error that is no answer of Redis'.
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
		if ctx.Value(connecting{}) != nil {
			return next(ctx, cmd)
		}
		tried, _ := ctx.Value(attemptsKey{}).(*attempts)
		if err := tried.before(n); err != nil {
			cmd.SetErr(err)
			return err
		}
		if tried != nil {
			n.watch.serves(n.process(ctx), cmd)
		}
		err := next(ctx, cmd)
		tried.after(n, err)
		return err
	}
}

// ProcessPipelineHook implements goredis.Hook.
func (n *nodeHook) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []goredis.Cmder) error {
		if ctx.Value(connecting{}) != nil { // go-redis greets with one
			return next(ctx, cmds)
		}
		tried, _ := ctx.Value(attemptsKey{}).(*attempts)
		if err := tried.before(n); err != nil {
			return err // go-redis gives it to the commands, and does not try again
		}
		if tried != nil {
			now := n.process(ctx)
			for _, cmd := range cmds {
				n.watch.serves(now, cmd)
			}
		}
		err := next(ctx, cmds)
		tried.after(n, err)
		return err
	}
}
