package outbox_test

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/outbox"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
	"github.com/ticketd/ticketd/store/storetest"
	"github.com/ticketd/ticketd/store/wal"
)

// The outbox keeps the contract of a store: with a next store that answers, with changes that all go through the journal,
// and with one that fails at random, before it has made a change or after.
func TestContract(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*harness) store.Store{
		"Direct":  func(h *harness) store.Store { return h.Store },
		"Journal": func(h *harness) store.Store { return &early{patient{h.Store}} },
		"Outages": func(h *harness) store.Store {
			h.next.failWith(failingAtRandom())
			return &patient{h.Store}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			storetest.Run(t, func(t *testing.T) storetest.Backend {
				return storetest.Backend{Store: wrap(newHarness(t)), Replays: name != "Direct", Cramped: cramped[name]}
			})
			t.Run("InParts", func(t *testing.T) { // as before a Redis Cluster
				storetest.Run(t, func(t *testing.T) storetest.Backend {
					return storetest.Backend{Store: wrap(newPartitioned(t, 0)), Replays: name != "Direct"}
				})
			})
		})
	}
}

// cramped are outboxes with room for two changes: before a store that has it, and in a journal whose next store is away.
var cramped = map[string]func(*testing.T) store.Store{
	"Direct": func(t *testing.T) store.Store {
		t.Helper()
		return start(t, &harness{maxDirty: 2}).Store
	},
	"Journal": func(t *testing.T) store.Store {
		t.Helper()
		h := start(t, &harness{maxEntries: 2})
		h.next.away.Store(true)
		return h.Store
	},
}

// harness is an outbox before a Redis, with an outage in between where the test wants one.
type harness struct {
	*outbox.Store
	dir      string
	maxBytes int64
	segment  int64 // bytes
	sync     wal.Sync
	gather   time.Duration
	cluster  bool
	ids      *ids // nil: no id for creates whose own is taken
	moves    moves
	maxDirty int
	// maxEntries bounds the journal; 5000 where it is 0.
	maxEntries int
	rows       *rows // what MySQL knows
	aside      aside
	next       *outage
	client     *goredis.Client // of the Redis, and what its keys begin with
	prefix     string
	openFile   func(path string) (wal.File, error)
}

func newHarness(t *testing.T) *harness {
	t.Helper()
	return start(t, &harness{})
}

// newPartitioned is a harness whose Redis is laid out as a cluster, and whose journal has segments of so many bytes.
func newPartitioned(t *testing.T, segment int64) *harness {
	t.Helper()
	return start(t, &harness{cluster: true, segment: segment})
}

func start(t *testing.T, h *harness) *harness {
	t.Helper()
	server, prefix := testenv.SharedRedis(t)
	h.client, h.prefix = server.Client(t), prefix
	h.dir, h.maxBytes, h.next, h.rows = testenv.Folder(t), 64<<20, &outage{}, &rows{}
	h.next.open = func(journal string) (outbox.Next, error) {
		return redis.New(h.client, redis.Options{
			Prefix: h.prefix, CleanTTL: time.Hour, Clock: ticket.NewClock(time.Now), Journal: journal, Cluster: h.cluster, Host: journal,
			MaxDirty: h.maxDirty,
		})
	}
	h.open(t)
	t.Cleanup(func() { h.close(t) })
	return h
}

// open opens the outbox on its folder, as a daemon that starts does.
func (h *harness) open(t *testing.T) {
	t.Helper()
	var next func(context.Context) (ticket.ID, error)
	if h.ids != nil {
		next = h.ids.next
	}
	o := wal.Options{MaxBytes: h.maxBytes, SegmentBytes: h.segment, OpenFile: h.openFile, Sync: h.sync}
	s, _, err := outbox.Open(h.dir, o, outbox.Options{
		MaxEntries: cmp.Or(h.maxEntries, 5000), Partitions: link.Partitions(h.cluster), Gather: h.gather,
		Up: func(int) bool { return true }, NextID: next, Moves: &h.moves, Born: h.rows.born, Aside: h.aside.keep,
		Clock: ticket.NewClock(time.Now), Now: time.Now,
		Log: zerolog.Nop(),
	}, func(id string) (next outbox.Next, err error) {
		h.next.Next, err = h.next.open(id)
		return h.next, err
	})
	if err != nil {
		t.Fatal(err)
	}
	h.Store = s
	s.Start(t.Context())
}

func (h *harness) close(t *testing.T) {
	t.Helper()
	if err := errors.Join(h.Stop(context.Background()), h.Close()); err != nil {
		t.Error(err)
	}
}

// key is that of a ticket's hash.
func (h *harness) key(id ticket.ID) string { return h.prefix + "ticket:" + id.String() }

// set changes one field of one ticket.
func (h *harness) set(t *testing.T, id ticket.ID, value string) store.Outcome {
	t.Helper()
	outcomes, err := h.Apply(t.Context(), []store.Mutation{mutation(id, value)})
	if err != nil || outcomes[0].Err != nil {
		t.Fatalf("set %d: %v %v", id, err, outcomes)
	}
	return outcomes[0]
}

func mutation(id ticket.ID, value string) store.Mutation {
	return store.Mutation{
		Kind: store.Set, ID: id, Fields: ticket.Fields{{Name: "status", Value: ticket.Text(value)}},
		Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
	}
}

// status reads the field as a reader sees it.
func status(t *testing.T, s store.Tickets, id ticket.ID) string {
	t.Helper()
	records, err := s.Get(t.Context(), []ticket.ID{id})
	if err != nil {
		t.Fatal(err)
	}
	value, _ := records[0].Fields.Get("status")
	return value.Text()
}

// drained waits until nothing waits in the journal.
func (h *harness) drained(t *testing.T) {
	t.Helper()
	if err := (&patient{h.Store}).settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// outage is the next store with failures put in.
type outage struct {
	outbox.Next
	open func(journal string) (outbox.Next, error)
	fail atomic.Pointer[failure]
	away atomic.Bool  // nothing answers
	gone atomic.Int64 // the partition of this ticket takes no replays
	full atomic.Bool  // there is room for the first mutation of a call alone
	held atomic.Bool  // of the next replay the first entry cannot be made, while the others are

	onRead atomic.Pointer[func()] // is called once, when a read has its answer
}

// failure says of each write whether it fails before it is made, or after.
type failure func(write string) (before, after bool)

func (o *outage) failWith(f failure) { o.fail.Store(&f) }

var errOutage = errors.Join(store.ErrUnavailable, errors.New("an outage of the test's"))

func (o *outage) write(name string, do func() error) error {
	before, after := o.away.Load(), false
	if fail := o.fail.Load(); fail != nil && !before {
		before, after = (*fail)(name)
	}
	if before {
		return errOutage
	}
	if err := do(); err != nil {
		return err
	}
	if after {
		return errOutage
	}
	return nil
}

func (o *outage) Apply(ctx context.Context, mutations []store.Mutation) (outcomes []store.Outcome, err error) {
	made := mutations
	if o.full.Load() {
		made = mutations[:1]
	}
	err = o.write("apply", func() (err error) {
		outcomes, err = o.Next.Apply(ctx, made)
		return err
	})
	for i := len(made); err == nil && i < len(mutations); i++ {
		outcomes = append(outcomes, store.Outcome{ID: mutations[i].ID, Err: store.ErrFull})
	}
	return outcomes, err
}

func (o *outage) Replay(ctx context.Context, entries []store.Entry) (outcomes []store.Outcome, err error) {
	if gone := ticket.ID(o.gone.Load()); gone != 0 && entries[0].Mutation.ID == gone {
		return nil, errOutage
	}
	first := 0
	if o.held.CompareAndSwap(true, false) {
		first = 1
	}
	err = o.write("replay", func() (err error) {
		outcomes, err = o.Next.Replay(ctx, entries[first:])
		return err
	})
	if first > 0 && err == nil {
		outcomes = append([]store.Outcome{{Err: errors.New("an error of the test's")}}, outcomes...)
	}
	return outcomes, err
}

func (o *outage) Fence(ctx context.Context, partition int) error {
	return o.write("fence", func() error { return o.Next.Fence(ctx, partition) })
}

func (o *outage) Get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	if o.away.Load() {
		return nil, errOutage
	}
	records, err := o.Next.Get(ctx, ids)
	if do := o.onRead.Swap(nil); do != nil {
		(*do)()
	}
	return records, err
}

// failingAtRandom fails a third of the writes, half of these after they were made.
func failingAtRandom() failure {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(1, 2))
	return func(string) (bool, bool) {
		mu.Lock()
		defer mu.Unlock()
		n := r.IntN(6)
		return n == 0, n == 1
	}
}

// patient waits until the journal is empty before it asks for the queue, as the contract has no word for a journal.
type patient struct{ *outbox.Store }

func (p *patient) settle(ctx context.Context) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		_, err := p.Store.DirtyIDs(ctx)
		if !errors.Is(err, store.ErrUnavailable) {
			return err
		}
		p.Nudge()
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (p *patient) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	for i := range mutations {
		if mutations[i].IfRevision != 0 {
			return p.insist(ctx, mutations)
		}
	}
	return p.Store.Apply(ctx, mutations)
}

// insist repeats what only the next store can decide.
func (p *patient) insist(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	for {
		outcomes, err := p.Store.Apply(ctx, mutations)
		if err != nil || !slices.ContainsFunc(outcomes, func(o store.Outcome) bool { return errors.Is(o.Err, store.ErrUnavailable) }) {
			return outcomes, err
		}
		if err := p.settle(ctx); err != nil {
			return nil, err
		}
	}
}

func (p *patient) Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]store.Claim, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return p.Store.Claim(ctx, now, limit, lease)
}

func (p *patient) ClaimIDs(
	ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration,
) ([]store.Claim, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return p.Store.ClaimIDs(ctx, now, ids, lease)
}

func (p *patient) Ack(ctx context.Context, receipts []store.Receipt) error {
	if err := p.settle(ctx); err != nil {
		return err
	}
	return p.Store.Ack(ctx, receipts)
}

func (p *patient) Fill(ctx context.Context, rows []store.Record, bases []ticket.Revision) error {
	if err := p.settle(ctx); err != nil {
		return err
	}
	return p.Store.Fill(ctx, rows, bases)
}

func (p *patient) Park(ctx context.Context, letters []ticket.Letter) error {
	if err := p.settle(ctx); err != nil {
		return err
	}
	return p.Store.Park(ctx, letters)
}

func (p *patient) Letters(ctx context.Context, after ticket.ID, limit int) ([]ticket.Letter, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return p.Store.Letters(ctx, after, limit)
}

func (p *patient) Retry(ctx context.Context, now time.Time, ids []ticket.ID) (int, error) {
	if err := p.settle(ctx); err != nil {
		return 0, err
	}
	return p.Store.Retry(ctx, now, ids)
}

func (p *patient) Drop(ctx context.Context, ids []ticket.ID) (int, error) {
	if err := p.settle(ctx); err != nil {
		return 0, err
	}
	return p.Store.Drop(ctx, ids)
}

func (p *patient) DirtyIDs(ctx context.Context) ([]ticket.ID, error) {
	if err := p.settle(ctx); err != nil {
		return nil, err
	}
	return p.Store.DirtyIDs(ctx)
}

func (p *patient) NextDue(ctx context.Context) (time.Time, error) {
	if err := p.settle(ctx); err != nil {
		return time.Time{}, err
	}
	return p.Store.NextDue(ctx)
}

func (p *patient) Backlog(ctx context.Context) (store.Backlog, error) {
	if err := p.settle(ctx); err != nil {
		return store.Backlog{}, err
	}
	return p.Store.Backlog(ctx)
}

// early sends every change through the journal.
type early struct{ patient }

func (e *early) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	for i := range mutations {
		mutations[i].Early = true
	}
	return e.patient.Apply(ctx, mutations)
}
