package redis_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// before calls f before every script call.
type before struct{ f func() }

func (b *before) DialHook(next goredis.DialHook) goredis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (b *before) ProcessHook(next goredis.ProcessHook) goredis.ProcessHook {
	return func(ctx context.Context, cmd goredis.Cmder) error {
		if cmd.Name() == "evalsha" {
			b.f()
		}
		return next(ctx, cmd)
	}
}

func (b *before) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return next
}

// Redis runs out of memory between the script calls of one large batch: the outcomes tell the made changes from the refused.
// Where the error stands for the whole batch, the caller hears that no change was made (tried by hand).
func TestPartOfALargeBatchFails(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	direct, client := server.Client(t), server.Client(t)
	s := open(t, client, redis.Options{})
	mustSet(t, s, 1, "status", "open") // the script is loaded, and Redis seeded
	calls := 0
	client.AddHook(&before{f: func() {
		if calls++; calls == 2 {
			if err := direct.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
				t.Error(err)
			}
		}
	}})
	batch := make([]store.Mutation, 300)
	for i := range batch {
		batch[i] = store.Mutation{
			Kind: store.Set, ID: ticket.ID(i + 1), Proposed: 1,
			Fields: ticket.Fields{{Name: "status", Value: ticket.Text("closed")}},
		}
	}
	outcomes, err := s.Apply(t.Context(), batch)
	if err != nil || len(outcomes) != len(batch) {
		t.Fatalf("%d outcomes (%v)", len(outcomes), err)
	}
	made := 0
	for made < len(outcomes) && outcomes[made].Err == nil {
		made++
	}
	for i, o := range outcomes[made:] {
		if !errors.Is(o.Err, store.ErrFull) || int(o.ID) != made+i+1 {
			t.Fatalf("outcome %d: %+v, want ErrFull", made+i, o)
		}
	}
	if got, err := s.Backlog(t.Context()); err != nil || got.Dirty != int64(made) || made == 0 || made == len(batch) {
		t.Errorf("backlog %+v (%v), %d reported as made", got, err, made)
	}
}

// without makes pipelined commands of one partition fail.
type without struct {
	before
	tag string
}

func (w *without) ProcessPipelineHook(next goredis.ProcessPipelineHook) goredis.ProcessPipelineHook {
	return func(ctx context.Context, commands []goredis.Cmder) error {
		var rest []goredis.Cmder
		var err error
		for _, c := range commands {
			if key, _ := c.Args()[1].(string); strings.Contains(key, w.tag) {
				err = net.ErrClosed
				c.SetErr(err)
			} else {
				rest = append(rest, c)
			}
		}
		return errors.Join(next(ctx, rest), err)
	}
}

// A partition that does not answer hides the backlog of no other.
func TestBacklogOfWhatAnswers(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix, Cluster: true})
	const gone, tickets = ticket.ID(5), 10
	for id := ticket.ID(1); id <= tickets; id++ {
		mustSet(t, s, id, "status", "open")
	}
	client.AddHook(&without{before{func() {}}, link.HashTag(gone.Partition(link.Partitions(true)))})
	got, err := s.Backlog(t.Context())
	if !errors.Is(err, store.ErrUnavailable) || got.Dirty != tickets-1 || got.Oldest.IsZero() {
		t.Errorf("backlog %+v (%v), want all tickets but one, and that it is not known whole", got, err)
	}
}
