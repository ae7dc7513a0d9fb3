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

// The oldest Redis that ticketd supports: ZADD … LT came with that version. Valkey begins with a later version.
const (
	LeastMajor = 6
	LeastMinor = 2
	Least      = "6.2"
)

//go:embed probe.lua
var probeSource string

var probeScript = goredis.NewScript(probeSource)

// A server that answers may still be unable to work: a command may be renamed or be missing in that version, or forbidden for
// this user. A script that meets such a command has made half of its changes by then. So the store makes a server run all
// commands of the scripts on a key that the probe removes: before the server gets its first script, and again by the prober.

// Probe makes each partition of a Redis run every command of the store's scripts, and returns the first refusal, in the server's
// words. The user must be allowed to use at least one of the sites' prefixes. Without prefixes Probe uses the empty prefix.
func Probe(ctx context.Context, client goredis.UniversalClient, cluster bool, prefixes ...string) error {
	return cmp.Or(probeAll(Probing(ctx), client, Partitions(cluster), prefixes)...)
}

// probeAll probes each partition.
func probeAll(ctx context.Context, client goredis.Cmdable, partitions int, prefixes []string) []error {
	all := make([]int, partitions)
	for p := range all {
		all[p] = p
	}
	return probePartitions(ctx, client, all, partitions, prefixes)
}

// probePartitions probes some of the partitions, in one round trip, and returns the refusal of each.
func probePartitions(ctx context.Context, client goredis.Cmdable, some []int, partitions int, prefixes []string) []error {
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	replies := make([][]*goredis.Cmd, len(some))
	_, failed := client.Pipelined(ctx, func(pipe goredis.Pipeliner) error {
		for i, p := range some {
			for _, prefix := range prefixes {
				names := []string{Base(prefix, partitions, p) + "probe"}
				// A script goes to the server by its hash, after its text for a server that does not know the hash.
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

// Works says that a partition runs all commands that the scripts need, on keys with a prefix.
func Works(ctx context.Context, client goredis.Cmdable, partition, partitions int, prefix string) bool {
	return cmp.Or(probePartitions(ctx, client, []int{partition}, partitions, []string{prefix})...) == nil
}

// prove probes a process at the other end of a new connection, before any other command. Only a refusal is an error: where a
// server takes no writes now, or has other slots, the next command shows the error, and the next connection probes again.
func (w *Watch) prove(ctx context.Context, client goredis.Cmdable, partition int) (proved bool, err error) {
	err = cmp.Or(probePartitions(ctx, client, []int{partition}, len(w.reasons), w.prefixes)...)
	if IsRefusal(err) {
		return false, err
	}
	return err == nil, nil
}

// IsRefusal says that Redis will not run the command: Redis has answered, and the answer is neither known to the store nor says
// that Redis runs no command now.
func IsRefusal(err error) bool {
	answer, answered := errors.AsType[goredis.Error](err)
	return answered && !isUnderstood(answer) && !IsAway(answer) && !IsFull(answer)
}

// understood are the prefixes of answers about the keys, or about the caller's knowledge of the keys.
var understood = []string{"EPOCH", "FENCE", "QUOTA", "NOTOWNER", "DESTINATIONS", "WRONGTYPE", "NOSCRIPT", "MOVED", "ASK"}

func isUnderstood(err error) bool {
	return errors.Is(err, goredis.Nil) ||
		slices.ContainsFunc(understood, func(prefix string) bool { return strings.HasPrefix(err.Error(), prefix) })
}
