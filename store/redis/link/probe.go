package link

import (
	"cmp"
	"context"
	_ "embed"
	"errors"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// The oldest Redis that ticketd supports: ZADD … LT came with it. Valkey begins with a later version.
const (
	LeastMajor = 6
	LeastMinor = 2
	Least      = "6.2"
)

//go:embed probe.lua
var probeSource string

var probeScript = goredis.NewScript(probeSource)

// A server that answers is not yet one that works: a command may be renamed or be missing in its version, and this user may not
// be allowed it. A script that meets that has made a half of its changes by then. So a server is asked to do all that the scripts
// do, with a key that is never left behind, before the first of them is sent to it, and again by the prober.

// Probe asks each partition of a Redis to do everything that the store's scripts do, and returns the first refusal, in the
// server's words. The prefixes are those of sites' keys: it is enough that one of them may be used, and none stands for an empty
// one.
func Probe(ctx context.Context, client goredis.UniversalClient, cluster bool, prefixes ...string) error {
	return cmp.Or(probeAll(Probing(ctx), client, Partitions(cluster), prefixes)...)
}

// probeAll asks each partition.
func probeAll(ctx context.Context, client goredis.Cmdable, partitions int, prefixes []string) []error {
	all := make([]int, partitions)
	for p := range all {
		all[p] = p
	}
	return probePartitions(ctx, client, all, partitions, prefixes)
}

// probePartitions asks some of the partitions, in one round trip, and returns what each of them refuses.
func probePartitions(ctx context.Context, client goredis.Cmdable, some []int, partitions int, prefixes []string) []error {
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	replies := make([][]*goredis.Cmd, len(some))
	_, failed := client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for i, p := range some {
			for _, prefix := range prefixes {
				names := []string{Base(prefix, partitions, p) + "probe"}
				// Scripts are sent by their hash, and once more as text where the server does not know it.
				replies[i] = append(replies[i], probeScript.Eval(ctx, pipe, names), probeScript.EvalSha(ctx, pipe, names))
			}
		}
		return nil
	})
	errs := make([]error, len(some))
	for i := range some {
		for pair := range slices.Chunk(replies[i], 2) {
			err := cmp.Or(pair[0].Err(), pair[1].Err())
			if errs[i] == nil || err == nil {
				errs[i] = err
			}
			if err == nil {
				break
			}
		}
	}
	if failed != nil && !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) && noReply(replies) {
		for i := range errs { // go-redis forgets the error of a connection that was refused
			errs[i] = failed
		}
	}
	return errs
}

// noReply says that no command of a pipeline has a reply.
func noReply(replies [][]*goredis.Cmd) bool {
	return !slices.ContainsFunc(replies, func(some []*goredis.Cmd) bool {
		return slices.ContainsFunc(some, func(reply *goredis.Cmd) bool { return reply.Val() != nil })
	})
}

// Works says that one of so many partitions does what the scripts need, under keys with a prefix.
func Works(ctx context.Context, client goredis.Cmdable, partition, partitions int, prefix string) bool {
	return cmp.Or(probePartitions(ctx, client, []int{partition}, partitions, []string{prefix})...) == nil
}

// prove asks a process that a connection leads to, before anything else is sent to it. Only a refusal is an error: of a server
// that takes no writes now, or has other slots, the next command tells, and the next connection asks again.
func (w *Watch) prove(ctx context.Context, client goredis.Cmdable, partition int) (proved bool, err error) {
	err = cmp.Or(probePartitions(ctx, client, []int{partition}, len(w.reasons), w.prefixes)...)
	if IsRefusal(err) {
		return false, err
	}
	return err == nil, nil
}

// IsRefusal says that Redis has answered, and that the answer is neither one of those that the store knows nor one that says that
// it takes nothing now: it will not do what it was asked.
func IsRefusal(err error) bool {
	answer, answered := errors.AsType[goredis.Error](err)
	return answered && !isUnderstood(answer) && !IsAway(answer) && !IsFull(answer)
}

// understood are the prefixes of answers that say something of the keys, or of what the caller knows of them.
var understood = []string{"EPOCH", "FENCE", "QUOTA", "WRONGTYPE", "NOSCRIPT", "MOVED", "ASK"}

func isUnderstood(err error) bool {
	return errors.Is(err, goredis.Nil) ||
		slices.ContainsFunc(understood, func(prefix string) bool { return strings.HasPrefix(err.Error(), prefix) })
}
