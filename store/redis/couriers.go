package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/flat"
	"github.com/ticketd/ticketd/store/redis/link"
)

// The cursors of the destinations are in the slot of their partition, so that a fail-over takes cursors and events back together.

// isNotOwner recognises the answer of a script that another courier has the right.
func isNotOwner(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOTOWNER") }

func (f *feed) courierKeys(p int, destination string) []string {
	return []string{f.keys.courier(p, destination), f.keys.cursors(p)}
}

// Own implements [store.FeedCouriers].
func (f *feed) Own(ctx context.Context, destination, token string, lease time.Duration) (map[int]store.Cursor, error) {
	if !store.DestinationName(destination) {
		return nil, fmt.Errorf("redis feed: %q is no destination's name", destination)
	}
	calls := make([]guardedCall, f.keys.partitions)
	for p := range calls {
		calls[p] = guardedCall{p, f.courierKeys(p, destination), []any{destination, token, lease.Milliseconds(), store.MaxDestinations}}
	}
	cursors := make(map[int]store.Cursor, len(calls))
	var failed error
	for p, reply := range f.runPiped(ctx, feedOwnScript, calls) {
		text, err := reply.Text()
		switch {
		case err == nil:
			cursors[p] = store.Cursor(text)
		case isNotOwner(err):
			_ = f.Release(ctx, destination, token) // of other partitions
			return nil, store.ErrNotOwner
		case strings.HasPrefix(err.Error(), "DESTINATIONS"):
			return nil, &store.FullError{
				Bound:  "destinations of a feed",
				Reason: fmt.Sprintf("the feed keeps cursors of %d destinations; forget one", store.MaxDestinations),
			}
		case failed == nil:
			failed = link.Wrap("feed own", err)
		}
	}
	if len(cursors) == 0 {
		return nil, failed
	}
	return cursors, nil
}

// Advance implements [store.FeedCouriers].
func (f *feed) Advance(ctx context.Context, destination, token string, p int, upTo store.Cursor) error {
	err := f.run(ctx, feedAdvanceScript, p, f.courierKeys(p, destination), destination, token, string(upTo)).Err()
	if isNotOwner(err) {
		return store.ErrNotOwner
	}
	return link.Wrap("feed advance", err)
}

// Release implements [store.FeedCouriers].
func (f *feed) Release(ctx context.Context, destination, token string) error {
	return f.everywhere(ctx, feedReleaseScript, "feed release", func(p int) ([]string, []any) {
		return []string{f.keys.courier(p, destination)}, []any{token}
	})
}

// Rewind implements [store.FeedCouriers].
func (f *feed) Rewind(ctx context.Context, destination string, to []store.Cursor) error {
	switch {
	case len(to) != f.keys.partitions:
		return fmt.Errorf("redis feed: %d cursors for %d partitions", len(to), f.keys.partitions)
	case !store.DestinationName(destination):
		return fmt.Errorf("redis feed: %q is no destination's name", destination)
	}
	return f.everywhere(ctx, feedRewindScript, "feed rewind", func(p int) ([]string, []any) {
		return f.courierKeys(p, destination), []any{destination, string(to[p])}
	})
}

// Forget implements [store.FeedCouriers].
func (f *feed) Forget(ctx context.Context, destination string) error {
	return f.everywhere(ctx, feedRewindScript, "feed forget", func(p int) ([]string, []any) {
		names := f.courierKeys(p, destination)
		if p == 0 {
			names = append(names, f.keys.feedLetters(destination))
		}
		return names, []any{destination}
	})
}

// Destinations implements [store.FeedCouriers].
func (f *feed) Destinations(ctx context.Context) (map[string]store.Destination, error) {
	hashes := make([]*goredis.MapStringStringCmd, f.keys.partitions)
	err := f.read(ctx, f.allPartitions(), func(pipe goredis.Pipeliner) {
		for p := range hashes {
			hashes[p] = pipe.HGetAll(ctx, f.keys.cursors(p))
		}
	})
	if err != nil {
		return nil, link.Wrap("feed destinations", err)
	}
	all := make(map[string]store.Destination)
	for p := range hashes {
		for name, cursor := range hashes[p].Val() {
			of := all[name]
			if of.Cursors == nil {
				of.Cursors = make([]store.Cursor, f.keys.partitions)
			}
			of.Cursors[p] = store.Cursor(cursor)
			all[name] = of
		}
	}
	for name, of := range all {
		var owner *goredis.StringCmd
		var left *goredis.DurationCmd
		var letters *goredis.IntCmd
		err := f.read(ctx, []int{0}, func(pipe goredis.Pipeliner) {
			owner = pipe.Get(ctx, f.keys.courier(0, name))
			left = pipe.PTTL(ctx, f.keys.courier(0, name))
			letters = pipe.XLen(ctx, f.keys.feedLetters(name))
		})
		if err != nil && !errors.Is(err, goredis.Nil) {
			return nil, link.Wrap("feed destinations", err)
		}
		of.Letters = letters.Val()
		if owner.Err() == nil {
			of.Owner, of.Until = owner.Val(), time.Now().Add(left.Val())
		}
		all[name] = of
	}
	return all, nil
}

// The names of a letter's entry beside the event's own.
const (
	letterReason = "_reason"
	letterAnswer = "_answer"
	letterTries  = "_tries"
	letterAt     = "_added"
	letterSince  = "_since"
	letterHeld   = "_held"
)

// perMilli is how many letters of a millisecond have different keys.
const perMilli = 1 << 12

// AddLetter implements [store.FeedLetters].
func (f *feed) AddLetter(ctx context.Context, destination string, letter *store.FeedLetter) error {
	pairs := append(flat.Whole(&letter.Event), letterReason, letter.Reason, letterAnswer, string(letter.Answer),
		letterTries, strconv.Itoa(letter.Tries), letterAt, strconv.FormatInt(letter.At.UnixMicro(), 10))
	if !letter.Since.IsZero() {
		pairs = append(pairs, letterSince, strconv.FormatInt(letter.Since.UnixMicro(), 10))
	}
	if letter.Held {
		pairs = append(pairs, letterHeld, "1")
	}
	args := make([]any, 0, 1+len(pairs))
	args = append(args, store.MaxFeedLetters)
	for _, text := range pairs {
		args = append(args, text)
	}
	id, err := f.run(ctx, feedLetterScript, 0, []string{f.keys.feedLetters(destination)}, args...).Text()
	switch {
	case err != nil:
		return link.Wrap("feed letter", err)
	case id == "":
		return store.FullLetters(destination)
	}
	letter.Key = letterKey(id)
	return nil
}

// letterKey is the key of the letter with an id in the stream, and letterID the id.
func letterKey(id string) uint64 {
	ms, seq, _ := strings.Cut(id, "-")
	m, _ := strconv.ParseUint(ms, 10, 64)
	s, _ := strconv.ParseUint(seq, 10, 64)
	return m*perMilli + s
}

func letterID(key uint64) string {
	return strconv.FormatUint(key/perMilli, 10) + "-" + strconv.FormatUint(key%perMilli, 10)
}

// FeedLetters implements [store.FeedLetters].
func (f *feed) FeedLetters(ctx context.Context, destination string, after uint64, limit int) ([]store.FeedLetter, error) {
	var raw *goredis.Cmd
	err := f.read(ctx, []int{0}, func(pipe goredis.Pipeliner) {
		raw = pipe.Do(ctx, "xrange", f.keys.feedLetters(destination), "("+letterID(after), "+", "count", limit)
	})
	if err != nil {
		return nil, link.Wrap("feed letters", err)
	}
	list, _ := raw.Slice()
	letters := make([]store.FeedLetter, 0, len(list))
	for _, item := range list {
		id, pairs := rawEntry(item)
		letters = append(letters, letterOf(id, pairs))
	}
	return letters, nil
}

// letterOf reads the entry of a letter.
func letterOf(id string, pairs []string) store.FeedLetter {
	l := store.FeedLetter{Key: letterKey(id), Event: flat.Event(pairs)}
	for i := 0; i+1 < len(pairs); i += 2 {
		value := pairs[i+1]
		n, _ := strconv.ParseInt(value, 10, 64)
		switch pairs[i] {
		case letterReason:
			l.Reason = value
		case letterAnswer:
			l.Answer = []byte(value)
		case letterTries:
			l.Tries = int(n)
		case letterAt:
			l.At = time.UnixMicro(n)
		case letterSince:
			l.Since = time.UnixMicro(n)
		case letterHeld:
			l.Held = value == "1"
		}
	}
	return l
}

// DropLetters implements [store.FeedLetters].
func (f *feed) DropLetters(ctx context.Context, destination string, keys []uint64) (int, error) {
	if len(keys) == 0 {
		return 0, nil
	}
	ids := make([]any, len(keys))
	for i, key := range keys {
		ids[i] = letterID(key)
	}
	n, err := f.run(ctx, feedDeleteScript, 0, []string{f.keys.feedLetters(destination)}, ids...).Int()
	return n, link.Wrap("feed letters", err)
}
