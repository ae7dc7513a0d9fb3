package redis

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
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

// Store keeps one site's tickets in Redis. It is safe for concurrent use. Each part of a store has one concern.
type Store struct {
	*site    // the keys, and the proof that the keys are the site's
	*fences  // late writes are refused
	*recall  // a fail-over loses no acknowledged change
	*tickets // reads
	*writer  // changes
	*queue   // claims and acks
	*deadLetters
}

var _ store.Store = (*Store)(nil)

// New makes the store of one site over a client that sites may share. It sends nothing.
func New(client goredis.UniversalClient, opts Options) (*Store, error) {
	if opts.CleanTTL <= 0 {
		return nil, fmt.Errorf("redis store: clean TTL %v must be above zero", opts.CleanTTL)
	}
	n := link.Partitions(opts.Cluster)
	keys := keys{prefix: opts.Prefix, partitions: n}
	s := &Store{site: &site{client: client, keys: keys, opts: opts, epochs: make([]string, n)}}
	s.former.Store(int64(opts.Clock.Propose()))
	s.fences = &fences{
		site: s.site, marks: make([]string, n), names: names{opts.Journal, opts.Host, rand.Text() + ":"},
	}
	s.recall = newRecall(s.site, s.fences)
	s.tickets = &tickets{site: s.site, recall: s.recall}
	s.deadLetters = &deadLetters{site: s.site, recall: s.recall, tickets: s.tickets}
	s.writer = newWriter(s.recall, s.tickets)
	s.queue = &queue{site: s.site, recall: s.recall, tickets: s.tickets, dead: s.deadLetters}
	return s, nil
}

// Prepare learns which filling of Redis this is, or marks an empty one, so that the next write need not. Called again
// it notices that Redis was emptied, also where nobody writes.
func (s *Store) Prepare(ctx context.Context) error {
	s.seeding.Lock()
	err := s.lookForEpochs(ctx)
	s.seeding.Unlock()
	for p := range s.keys.partitions {
		if err == nil { // before the first write, so that a twin is told from the process before this one
			_, err = s.fenceFor(ctx, p)
		}
	}
	return err
}
