package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/flat"
	"github.com/ticketd/ticketd/store/redis/link"
)

// feed is the site's feed: a stream per partition, to which the scripts that change tickets add the events. A cursor's place is
// the id of an entry. The epoch is the cursor's filling, so that a reader notices an emptied Redis.
type feed struct {
	*site

	news *news
}

var _ store.Feed = (*feed)(nil)

// Feed implements [store.Backend].
func (s *Store) Feed() store.Feed { return s.feed }

// startOfFeed is the id before all entries.
const startOfFeed = "0-0"

// entry is an entry of the stream.
type entry struct {
	id    string
	event ticket.Event
}

// Partitions implements [store.FeedReader].
func (f *feed) Partitions() int { return f.keys.partitions }

// Events implements [store.FeedReader].
func (f *feed) Events(ctx context.Context, p int, after store.Cursor, limit int) (store.FeedPage, error) {
	epoch, err := f.epoch(ctx, p)
	if err != nil {
		return store.FeedPage{}, link.Wrap("feed", err)
	}
	if after != "" && !isEntry(after.Place()) {
		return store.FeedPage{}, store.ErrCursor
	}
	if after == "" || after.Filling() != epoch {
		return f.fromStart(ctx, p, after != "", limit)
	}
	newest, entries, err := f.entries(ctx, p, "("+after.Place(), limit)
	switch {
	case err != nil:
		return store.FeedPage{}, err
	case f.knownEpoch(p) != epoch: // Redis was emptied meanwhile
		return f.fromStart(ctx, p, true, limit)
	}
	page := store.FeedPage{Next: after}
	next := newest + 1
	if len(entries) > 0 {
		next = entries[0].event.Number
	}
	if next != after.Number()+1 {
		erased, diverged, err := f.jump(ctx, p, after, next, entries)
		switch {
		case err != nil:
			return store.FeedPage{}, err
		case diverged:
			return f.fromStart(ctx, p, true, limit)
		case erased < next-after.Number()-1:
			gap := store.GapEvent(p, after.Number()+1, next-1, time.Now())
			gap.Lost -= erased
			page.Add(gap, store.NewCursor(epoch, next-1, after.Place()))
		case len(entries) == 0: // the newest events were erased
			page.Next = store.NewCursor(epoch, newest, after.Place())
		}
	}
	add(&page, epoch, entries, limit)
	return page, nil
}

// jump looks into it that the event behind a cursor does not have the next number: how many of the missing events were erased, or
// that the cursor is from a state that a fail-over has lost, so that unread events may be before the cursor.
func (f *feed) jump(
	ctx context.Context, p int, after store.Cursor, next uint64, entries []entry,
) (erased uint64, diverged bool, err error) {
	if next <= after.Number() {
		return 0, true, nil
	}
	end := "+"
	if len(entries) > 0 {
		end = "(" + entries[0].id
	}
	var raw *goredis.Cmd
	var count *goredis.IntCmd
	err = f.read(ctx, []int{p}, func(pipe goredis.Pipeliner) {
		raw = pipe.Do(ctx, "xrevrange", f.keys.feed(p), end, "-", "count", 1)
		count = pipe.ZCount(ctx, f.keys.erased(p), strconv.FormatUint(after.Number()+1, 10), strconv.FormatUint(next-1, 10))
	})
	if err != nil {
		return 0, false, link.Wrap("feed", err)
	}
	before := readEntries(p, raw)
	return uint64(max(count.Val(), 0)), len(before) > 0 && before[0].event.Number > after.Number(), nil
}

// fromStart reads the oldest events; reset says that the reader had a cursor.
func (f *feed) fromStart(ctx context.Context, p int, reset bool, limit int) (store.FeedPage, error) {
	newest, entries, err := f.entries(ctx, p, "-", limit)
	if err != nil {
		return store.FeedPage{}, err
	}
	var page store.FeedPage
	epoch := f.knownEpoch(p)
	if reset {
		before := newest
		if len(entries) > 0 {
			before = entries[0].event.Number - 1
		}
		page.Add(store.ResetEvent(p, time.Now()), store.NewCursor(epoch, before, startOfFeed))
	}
	add(&page, epoch, entries, limit)
	return page, nil
}

func add(page *store.FeedPage, epoch string, entries []entry, limit int) {
	for i := range entries {
		if len(page.Events) < limit {
			page.Add(&entries[i].event, store.NewCursor(epoch, entries[i].event.Number, entries[i].id))
		}
	}
}

// entries reads entries of a partition from an id on, and the number of the newest event before that.
func (f *feed) entries(ctx context.Context, p int, from string, limit int) (newest uint64, entries []entry, err error) {
	var number *goredis.StringCmd
	var raw *goredis.Cmd
	err = f.read(ctx, []int{p}, func(pipe goredis.Pipeliner) {
		number = pipe.HGet(ctx, f.keys.meta(p), "feed:n")
		raw = pipe.Do(ctx, "xrange", f.keys.feed(p), from, "+", "count", limit)
	})
	if err != nil && !errors.Is(err, goredis.Nil) {
		return 0, nil, link.Wrap("feed", err)
	}
	if err := raw.Err(); err != nil {
		return 0, nil, link.Wrap("feed", err)
	}
	newest, _ = number.Uint64() // missing: no event yet
	return newest, readEntries(p, raw), nil
}

// readEntries reads the reply of XRANGE, with names and values in their order.
func readEntries(p int, raw *goredis.Cmd) []entry {
	list, _ := raw.Slice()
	entries := make([]entry, 0, len(list))
	for _, item := range list {
		id, pairs := rawEntry(item)
		event := flat.Event(pairs)
		event.Partition, event.Recorded = p, timeOf(id)
		entries = append(entries, entry{id: id, event: event})
	}
	return entries
}

// rawEntry returns the id and the names and values of an entry in a reply.
func rawEntry(item any) (id string, pairs []string) {
	parts, _ := item.([]any)
	if len(parts) != 2 {
		return "", nil
	}
	id, _ = parts[0].(string)
	values, _ := parts[1].([]any)
	pairs = make([]string, len(values))
	for i := range values {
		pairs[i], _ = values[i].(string)
	}
	return id, pairs
}

// timeOf is when an entry was added, by the clock of Redis.
func timeOf(id string) time.Time {
	ms, _, _ := strings.Cut(id, "-")
	n, _ := strconv.ParseInt(ms, 10, 64)
	return time.UnixMilli(n)
}

// isEntry says whether a text has the form of an entry's id.
func isEntry(place string) bool {
	ms, seq, both := strings.Cut(place, "-")
	_, err := strconv.ParseUint(ms, 10, 63)
	_, also := strconv.ParseUint(seq, 10, 63)
	return both && err == nil && also == nil
}

// End implements [store.FeedReader].
func (f *feed) End(ctx context.Context, p int) (store.Cursor, error) {
	return f.before(ctx, p, "+")
}

// Since implements [store.FeedReader].
func (f *feed) Since(ctx context.Context, p int, at time.Time) (store.Cursor, error) {
	var raw *goredis.Cmd
	id := strconv.FormatInt(max(at.UnixMilli(), 0), 10) + "-0"
	err := f.read(ctx, []int{p}, func(pipe goredis.Pipeliner) {
		raw = pipe.Do(ctx, "xrange", f.keys.feed(p), id, "+", "count", 1)
	})
	if err != nil {
		return "", link.Wrap("feed", err)
	}
	if first := readEntries(p, raw); len(first) > 0 {
		return f.before(ctx, p, "("+first[0].id)
	}
	return f.End(ctx, p)
}

// before returns the cursor behind the last entry up to an id.
func (f *feed) before(ctx context.Context, p int, end string) (store.Cursor, error) {
	var number *goredis.StringCmd
	var raw *goredis.Cmd
	err := f.read(ctx, []int{p}, func(pipe goredis.Pipeliner) {
		number = pipe.HGet(ctx, f.keys.meta(p), "feed:n")
		raw = pipe.Do(ctx, "xrevrange", f.keys.feed(p), end, "-", "count", 1)
	})
	if err != nil && !errors.Is(err, goredis.Nil) {
		return "", link.Wrap("feed", err)
	}
	last := readEntries(p, raw)
	switch newest, _ := number.Uint64(); {
	case len(last) == 0 && end == "+": // every event is gone, or none was made
		return store.NewCursor(f.knownEpoch(p), newest, startOfFeed), nil
	case len(last) == 0:
		return "", nil
	case end == "+":
		return store.NewCursor(f.knownEpoch(p), max(newest, last[0].event.Number), last[0].id), nil
	}
	return store.NewCursor(f.knownEpoch(p), last[0].event.Number, last[0].id), nil
}

// Switch implements [store.FeedKeeper].
func (f *feed) Switch(ctx context.Context, to store.FeedSwitch) error {
	keep := int64(0)
	if to.On {
		n := int64(f.keys.partitions)
		keep = max((cmp.Or(to.MaxEvents, store.DefaultFeedEvents)+n-1)/n, 1)
	}
	f.feedKeep.Store(keep) // for an empty Redis, too
	defer f.news.tell()
	return f.everywhere(ctx, feedSwitchScript, "feed switch", func(p int) ([]string, []any) {
		args := []any{keep}
		for _, text := range flat.Pairs(store.ResumedEvent(p, time.Now())) {
			args = append(args, text)
		}
		return []string{f.keys.meta(p), f.keys.feed(p)}, args
	})
}

// everywhere runs a script in every partition, and returns the first error.
func (f *feed) everywhere(
	ctx context.Context, script *goredis.Script, operation string, call func(p int) (names []string, args []any),
) error {
	calls := make([]guardedCall, f.keys.partitions)
	for p := range calls {
		names, args := call(p)
		calls[p] = guardedCall{p, names, args}
	}
	if err := firstErr(f.runPiped(ctx, script, calls)); err != nil && !errors.Is(err, goredis.Nil) {
		return link.Wrap(operation, err)
	}
	return nil
}

// Append implements [store.FeedKeeper].
func (f *feed) Append(ctx context.Context, events []ticket.Event) error {
	args := make([][]any, f.keys.partitions)
	counts := make([]int, f.keys.partitions)
	for i := range events {
		of := f.allPartitions()
		if events[i].Ticket != 0 {
			of = []int{f.keys.partition(events[i].Ticket)}
		}
		pairs := flat.Pairs(&events[i])
		for _, p := range of {
			counts[p]++
			args[p] = append(args[p], len(pairs))
			for _, text := range pairs {
				args[p] = append(args[p], text)
			}
		}
	}
	var calls []guardedCall
	for p := range args {
		if counts[p] > 0 {
			calls = append(calls, guardedCall{p, []string{f.keys.meta(p), f.keys.feed(p)}, append([]any{counts[p]}, args[p]...)})
		}
	}
	if len(calls) == 0 {
		return nil
	}
	defer f.news.tell()
	return link.Wrap("feed append", firstErr(f.runPiped(ctx, feedAppendScript, calls)))
}

// Trim implements [store.FeedKeeper].
func (f *feed) Trim(ctx context.Context, keep time.Duration) error {
	before := millis(time.Now().Add(-keep))
	return f.everywhere(ctx, feedTrimScript, "feed trim", func(p int) ([]string, []any) {
		return []string{f.keys.feed(p), f.keys.cursors(p), f.keys.erased(p), f.keys.meta(p)}, []any{before}
	})
}

// Erase implements [store.FeedKeeper].
func (f *feed) Erase(ctx context.Context, ids []ticket.ID) (int, error) {
	const step = 1000 // entries of a page
	erased := 0
	of := make(map[ticket.ID]bool, len(ids))
	for _, id := range ids {
		of[id] = true
	}
	for _, p := range f.partitionsOf(ids) {
		for from := "-"; ; {
			_, entries, err := f.entries(ctx, p, from, step)
			if err != nil {
				return erased, err
			}
			var moot []any
			for i := range entries {
				if of[entries[i].event.Ticket] && entries[i].event.Kind != ticket.EventErased {
					moot = append(moot, entries[i].id, entries[i].event.Number)
				}
			}
			if len(moot) > 0 {
				n, err := f.run(ctx, feedEraseScript, p, []string{f.keys.feed(p), f.keys.erased(p)}, moot...).Int()
				if err != nil {
					return erased, link.Wrap("feed erase", err)
				}
				erased += n
			}
			if len(entries) < step {
				break
			}
			from = "(" + entries[len(entries)-1].id
		}
	}
	return erased, nil
}

// Usage implements [store.FeedKeeper]. The memory is what Redis itself reports, by MEMORY USAGE; 0 where that is forbidden.
func (f *feed) Usage(ctx context.Context) (store.FeedUsage, error) {
	n := f.keys.partitions
	keeps, lengths := make([]*goredis.StringCmd, n), make([]*goredis.IntCmd, n)
	bytes, oldest := make([]*goredis.IntCmd, n), make([]*goredis.Cmd, n)
	err := f.read(ctx, f.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range n {
			keeps[p] = pipe.HGet(ctx, f.keys.meta(p), "feed")
			lengths[p] = pipe.XLen(ctx, f.keys.feed(p))
			oldest[p] = pipe.Do(ctx, "xrange", f.keys.feed(p), "-", "+", "count", 1)
			bytes[p] = pipe.MemoryUsage(ctx, f.keys.feed(p))
		}
	})
	var usage store.FeedUsage
	if errors.Is(err, store.ErrOwner) {
		return usage, link.Wrap("feed", err)
	}
	for p := range n {
		if err := cmp.Or(lengths[p].Err(), oldest[p].Err()); err != nil {
			return usage, link.Wrap("feed", err)
		}
		usage.On = usage.On || keeps[p].Err() == nil
		usage.Events += lengths[p].Val()
		usage.Bytes += bytes[p].Val()
		for _, e := range readEntries(p, oldest[p]) {
			if usage.Oldest.IsZero() || e.event.Recorded.Before(usage.Oldest) {
				usage.Oldest = e.event.Recorded
			}
		}
	}
	return usage, nil
}

// news wakes the readers of the feed: at once after a change of this daemon, and otherwise after a look at the numbers in Redis,
// which all readers share.
type news struct {
	*site

	mu      sync.Mutex
	waiting int
	changed chan struct{} // closed and replaced by tell

	looking sync.Mutex // held while the numbers are read
	looked  time.Time
	numbers []uint64
}

// feedLook is how often readers look whether other daemons have changed tickets.
const feedLook = 200 * time.Millisecond

func newNews(s *site) *news {
	return &news{site: s, changed: make(chan struct{}), numbers: make([]uint64, s.keys.partitions)}
}

// tell wakes the readers that wait.
func (n *news) tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting > 0 {
		close(n.changed)
		n.changed = make(chan struct{})
	}
}

// await counts a reader as waiting, and returns the channel that tell closes.
func (n *news) await() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting++
	return n.changed
}

func (n *news) done() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.waiting--
}

// some says whether a partition has an event behind a reader's cursor. A look that began before since does not count.
func (n *news) some(ctx context.Context, after []store.Cursor, since time.Time) bool {
	n.looking.Lock()
	defer n.looking.Unlock()
	if n.looked.Before(since) {
		n.look(ctx)
	}
	for p, c := range after {
		switch known := n.knownEpoch(p); {
		case n.numbers[p] == 0, known == "":
		case c.Filling() != known, c.Number() != n.numbers[p]:
			return true
		}
	}
	return false
}

// look reads the number of the newest event of every partition. The caller holds looking.
func (n *news) look(ctx context.Context) {
	began := time.Now()
	numbers := make([]*goredis.StringCmd, n.keys.partitions)
	_ = n.read(ctx, n.allPartitions(), func(pipe goredis.Pipeliner) { // a partition that is away has no news
		for p := range numbers {
			numbers[p] = pipe.HGet(ctx, n.keys.meta(p), "feed:n")
		}
	})
	n.looked = began
	for p := range numbers {
		if numbers[p] == nil {
			continue
		}
		if number, err := numbers[p].Uint64(); err == nil {
			n.numbers[p] = number
		}
	}
}

// Wait implements [store.FeedReader].
func (f *feed) Wait(ctx context.Context, after []store.Cursor) error {
	if len(after) != f.keys.partitions {
		return fmt.Errorf("redis feed: %d cursors for %d partitions", len(after), f.keys.partitions)
	}
	tick := time.NewTicker(feedLook)
	defer tick.Stop()
	for since := time.Now(); ; {
		changed := f.news.await()
		some := f.news.some(ctx, after, since)
		if some {
			f.news.done()
			return nil
		}
		select {
		case <-changed:
			since = time.Now()
		case <-tick.C:
			since = time.Now().Add(-feedLook / 2) // another reader's look counts
		case <-ctx.Done():
		}
		f.news.done()
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
