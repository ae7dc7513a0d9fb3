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

// Options configure the store of one site.
type Options struct {
	// Prefix goes before every key, so that several sites can share a Redis.
	Prefix string
	// Owner returns the table to which the keys must belong, so that two sites cannot share keys by mistake. The store calls
	// Owner for each new filling of Redis; an error of Owner is the error of the operation that needs the keys. nil stands for a
	// site without a name, in tests.
	Owner func(context.Context) (Owner, error)
	// OnOwner receives the result of each check of the owner: nil where the keys belong to the table, or an error that wraps
	// [store.ErrOwner]. The function must not block. Optional.
	OnOwner func(err error)
	// CleanTTL is how long a clean ticket stays, unless Redis evicts the ticket before. Above zero.
	CleanTTL time.Duration
	// Floor returns the sink's highest revision. The store asks once for each filling of Redis. Where Floor fails, the store asks
	// again before each claim, and until then the clock alone keeps revisions growing.
	Floor func(context.Context) (ticket.Revision, error)
	// Clock observes every revision that the store reads.
	Clock *ticket.Clock
	// Journal is the id of the local journal from which changes are replayed; empty without a journal.
	Journal string
	// Host names this daemon among the daemons that share the keys: the journal's id, or any random name. A store with a name
	// keeps the latest acknowledged changes, for [Store.Replaced], and flushing after a fail-over waits for the daemons with
	// names. Empty for a store that belongs to no daemon.
	Host string
	// MaxDirty bounds the dirty tickets: a change of one more ticket fails with [store.ErrQuota]. In a cluster each partition has
	// its share. 0 is no bound.
	MaxDirty int
	// Cluster lays the keys out for a Redis Cluster: in [link.Partitions], each of which can be away while the other partitions
	// answer.
	Cluster bool
	// Filled says that an earlier process has found keys of this site in Redis.
	Filled bool
	// OnSeed receives the sink's highest revision (zero where unknown) when Redis turned out to be empty, and again when the sink
	// has answered later. emptied says that this store, or an earlier process, has seen Redis filled: Redis was then emptied or
	// replaced. Optional.
	OnSeed func(floor ticket.Revision, emptied bool)
	// OnForeign receives each ticket key that holds no hash: another program uses the name, and the data that the program has
	// overwritten is lost. The function must not block. Optional.
	OnForeign func(key string)
	// OnOdd receives the key of each ticket whose hash has an impossible revision. The function must not block. Optional.
	OnOdd func(key string)
	// OnVanished receives the key of a dirty ticket that another program has deleted, or whose key has expired; back says that
	// changes which this daemon has acknowledged lately are written again. The function must not block. Optional.
	OnVanished func(key string, back bool)
	// OnStray receives the key each time that a change or a read meets a stray hash: a hash that another program wrote under a
	// ticket's name. The function must not block. Optional.
	OnStray func(key string)
	// OnTwin receives the journal's id when another daemon uses the same journal id. The function must not block. Optional.
	OnTwin func(journal string)
	// Convert makes at most [MaxStrayFields] fields of a stray hash, as the table takes the fields, or refuses the hash. On
	// [ErrOlder] a change that has met the hash sets the hash aside. Without Convert the store takes no hash over: changes of
	// such a ticket fail.
	Convert func(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error)
	// OnOlder receives the key of a hash that was set aside, and the key that the hash has now. The function must not block.
	// Optional.
	OnOlder func(key, aside string)
	// Aside keeps a change that a fail-over lost, and that cannot be applied again because a ticket with the same id was created
	// later. acknowledged is when the change was acknowledged. Without Aside, or where Aside fails, the change is lost. Optional.
	Aside func(m *store.Mutation, acknowledged time.Time) error
	// Log receives the changes that a fail-over lost.
	Log zerolog.Logger
	// OnBatch receives how many changes go to Redis together. The function must not block. Optional.
	OnBatch func(changes int)
}

// Store keeps one site's tickets in Redis. A Store is safe for concurrent use. Each part of a store has one concern.
type Store struct {
	store.Direct

	*site    // the keys, and the proof that the keys are the site's
	*fences  // late writes are refused
	*recall  // a fail-over loses no acknowledged change
	*tickets // reads
	*writer  // changes
	*queue   // claims and acks
	feed     *feed
	*deadLetters
}

var _ store.Backend = (*Store)(nil)

// New makes the store of one site over a client that sites may share. New sends no command.
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
	s.feed = &feed{site: s.site, news: newNews(s.site)}
	s.writer = newWriter(s.recall, s.tickets, s.feed.news)
	s.queue = &queue{site: s.site, recall: s.recall, tickets: s.tickets, dead: s.deadLetters}
	return s, nil
}

// Prepare learns the filling of Redis, or marks an empty Redis, so that the next write need not. A later call notices an emptied
// Redis, even where no client writes.
func (s *Store) Prepare(ctx context.Context) error {
	s.seeding.Lock()
	err := s.lookForEpochs(ctx)
	s.seeding.Unlock()
	for p := range s.keys.partitions {
		if err == nil { // before the first write, so that a twin is told from the process before this process
			_, err = s.fenceFor(ctx, p)
		}
	}
	return err
}
