package redis

import (
	"cmp"

	"github.com/ticketd/ticketd/store/redis/link"

	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Options are what one site's store needs to know.
type Options struct {
	// Prefix goes before every key, so that several sites can share a Redis.
	Prefix string
	// Owner tells to which table the keys must belong, so that two sites cannot share them by mistake. It is called each time that
	// Redis is another filling than before; its error is that of what needs the keys then. nil stands for a site without a name, in
	// tests.
	Owner func(context.Context) (Owner, error)
	// OnOwner receives after each such look whether the keys belong to that table: nil, or what wraps [store.ErrOwner]. It must not
	// block. Optional.
	OnOwner func(err error)
	// CleanTTL is how long a clean ticket stays, unless Redis evicts it before. Above zero.
	CleanTTL time.Duration
	// Floor returns the sink's highest revision. It is asked once for each filling of Redis; where it fails it is asked again before
	// each claim, and until then the clock alone keeps revisions growing.
	Floor func(context.Context) (ticket.Revision, error)
	// Clock is told every revision that is seen here.
	Clock *ticket.Clock
	// Journal is the id of the local journal from which changes are replayed; empty where there is none.
	Journal string
	// Host names this daemon among those that share the keys: the journal's id, or anything random. With it the store keeps what it
	// acknowledged lately, for [Store.Replaced], and flushing after a fail-over waits for the daemons that are known by such a name.
	// Empty where the store is no daemon's.
	Host string
	// MaxDirty bounds the tickets that wait for the sink: a change of one more fails with [store.ErrQuota]. In a cluster each
	// partition has its share. 0 is no bound.
	MaxDirty int
	// Cluster lays the keys out for a Redis Cluster: in [Partitions], each of which can be away while the others answer.
	Cluster bool
	// Filled says that an earlier process has found keys of this site in Redis.
	Filled bool
	// OnSeed is told when Redis turned out to be empty, and again where the sink's revision is known only later: the revision that
	// the sink has by then (zero where that is not known), and whether this store, or an earlier process, has seen Redis filled:
	// only then Redis was emptied or replaced. Optional.
	OnSeed func(floor ticket.Revision, emptied bool)
	// OnForeign is told each time that a ticket's key is met that holds no hash, as something else uses its name. What that has
	// overwritten is lost. It must not block. Optional.
	OnForeign func(key string)
	// OnOdd is called with the key each time that a ticket's hash has a revision that none can be. It must not block. Optional.
	OnOdd func(key string)
	// OnVanished is called with the key of a ticket that waits when another program has deleted it, or let it expire; back says that
	// changes which this daemon has acknowledged lately are written again. It must not block. Optional.
	OnVanished func(key string, back bool)
	// OnStray is called each time that a change or a read meets a hash that another program wrote under a ticket's name. It must not
	// block. Optional.
	OnStray func(key string)
	// OnTwin is called with the journal's id when another daemon turned out to use it too. It must not block. Optional.
	OnTwin func(journal string)
	// Convert makes at most [MaxStrayFields] fields of what such a hash holds, as the table takes them, or refuses all of it. With
	// [ErrOlder] a change that has met the hash sets it aside. Without it no hash is taken over: changes of such a ticket fail.
	Convert func(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error)
	// OnOlder is called when a hash was set aside, with its key and the key that it has now. It must not block. Optional.
	OnOlder func(key, aside string)
	// Aside keeps a change that a fail-over lost and that cannot be applied again, as the ticket that has its id was created later;
	// it was acknowledged at that time. Without it, or where it fails, the change is lost. Optional.
	Aside func(m *store.Mutation, acknowledged time.Time) error
	// Log is told of changes that a fail-over lost.
	Log zerolog.Logger
	// OnBatch is told how many changes are sent to Redis together. It must not block. Optional.
	OnBatch func(changes int)
}

// Store keeps one site's tickets in Redis. It is safe for concurrent use.
type Store struct {
	client goredis.UniversalClient
	keys   keys
	opts   Options

	combine []*combiner // one per partition

	line   atomic.Int64 // see NewLine
	former atomic.Int64 // see arrival
	asked  atomic.Int64 // for which value of former the sink was asked for its highest revision

	floorless atomic.Bool // see raise
	seeding   sync.Mutex  // held while partitions are marked as filled
	raising   sync.Mutex
	fencing   sync.Mutex // held while the fence is raised

	kept []*kept // per partition

	mu     sync.Mutex
	epochs []string // per partition: the filling of Redis that this store knows; empty before the first write
	fences []string // per partition: the mark that writes carry, see Fence; empty before the first write
	names  names
}

var _ store.Store = (*Store)(nil)

// New makes the store of one site over a client that sites may share. It sends nothing.
func New(client goredis.UniversalClient, opts Options) (*Store, error) {
	if opts.CleanTTL <= 0 {
		return nil, fmt.Errorf("redis store: clean TTL %v must be above zero", opts.CleanTTL)
	}
	partitions := link.Partitions(opts.Cluster)
	s := &Store{
		client: client,
		keys:   keys{prefix: opts.Prefix, partitions: partitions},
		opts:   opts,
		epochs: make([]string, partitions),
		fences: make([]string, partitions),
		kept:   newKept(partitions),
		names:  names{opts.Journal, opts.Host, rand.Text() + ":"},
	}
	s.former.Store(int64(opts.Clock.Propose()))
	for p := range partitions {
		s.combine = append(s.combine, newCombiner(func(ctx context.Context, batch []store.Mutation) ([]store.Outcome, error) {
			if opts.OnBatch != nil {
				opts.OnBatch(len(batch))
			}
			return s.applyPartition(ctx, p, batch)
		}))
	}
	return s, nil
}

// NewLine says that Redis may be another process than before, and may have gone back in time: changes that were made
// before now are compared with the sink one by one when they are flushed, and what a journal acknowledged before now is replayed
// as a change that is made then.
func (s *Store) NewLine() {
	line := int64(s.opts.Clock.Propose())
	s.line.Store(line)
	s.former.Store(line)
}

// split groups n things by the partition of their ticket, keeping their order; the values are indexes.
func (s *Store) split(n int, id func(int) ticket.ID) map[int][]int {
	groups := make(map[int][]int, 1)
	for i := range n {
		p := s.keys.partition(id(i))
		groups[p] = append(groups[p], i)
	}
	return groups
}

// each calls f for each partition, for all of them at once, and returns the first error: a partition that does not answer holds
// up no other.
func (s *Store) each(groups map[int][]int, f func(p int, indexes []int) error) error {
	errs := make([]error, s.keys.partitions)
	var calls sync.WaitGroup
	for p, indexes := range groups {
		if len(groups) == 1 {
			return f(p, indexes)
		}
		calls.Go(func() { errs[p] = f(p, indexes) })
	}
	calls.Wait()
	return cmp.Or(errs...)
}

func millis(t time.Time) int64 { return t.UnixMilli() }
