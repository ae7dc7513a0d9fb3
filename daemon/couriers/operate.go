package couriers

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
)

// Status describes a destination.
type Status struct {
	Name, Kind string
	feed.Status
}

// Status describes the destinations, by name. The state of a store that does not answer is in the destinations' states.
func (c *Couriers) Status(ctx context.Context) []Status {
	ends, err := c.ends(ctx)
	if err != nil {
		ends = nil
	}
	all := c.sorted()
	found := make([]Status, 0, len(all))
	for _, r := range all {
		found = append(found, Status{Name: r.Name, Kind: r.Kind, Status: r.courier.Status(ends)})
	}
	return found
}

// Usage returns the size of the feed.
func (c *Couriers) Usage(ctx context.Context) (store.FeedUsage, error) { return c.opts.Feed.Usage(ctx) }

// Feed returns the site's feed.
func (c *Couriers) Feed() store.Feed { return c.opts.Feed }

var (
	// ErrNoDestination is wrapped if the configuration has no such destination.
	ErrNoDestination = errors.New("no such destination")
	// ErrElsewhere is wrapped if only another host's daemon can do what was asked.
	ErrElsewhere = errors.New("another host's daemon serves the destination: ask that daemon")
)

func (c *Couriers) find(name string) (*running, error) {
	if r := c.named(name); r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%q: %w", name, ErrNoDestination)
}

// Test sends a test event to a destination and returns the destination's answer.
func (c *Couriers) Test(ctx context.Context, name, by string) error {
	r, err := c.find(name)
	if err != nil {
		return err
	}
	return r.courier.Test(ctx, by)
}

const (
	// stopFor is for how long a pause of an operator lasts, unless resumed.
	stopFor = 100 * 365 * 24 * time.Hour
	// stopTries bounds the tries to own a destination whose courier tries the same.
	stopTries = 10
)

// Pause stops a destination on all hosts, until Resume: the token of the pause owns the destination.
func (c *Couriers) Pause(ctx context.Context, name string) error {
	r, err := c.find(name)
	if err != nil {
		return err
	}
	if err := c.move(ctx, name, nil, true); err != nil {
		return err
	}
	r.courier.Reread()
	return nil
}

// move sets a destination's cursors, nil leaves them, and gives the destination to the token of a pause if stop is set.
func (c *Couriers) move(ctx context.Context, name string, to []store.Cursor, stop bool) error {
	for range stopTries {
		all, err := c.opts.Feed.Destinations(ctx)
		if err != nil {
			return err
		}
		cursors := to
		if cursors == nil {
			cursors = all[name].Cursors
		}
		if owner := all[name].Owner; to != nil || owner != "" && owner != feed.StoppedToken {
			if err := c.opts.Feed.Rewind(ctx, name, cursors); err != nil { // the courier loses the destination
				return err
			}
		}
		if !stop {
			return nil
		}
		_, err = c.opts.Feed.Own(ctx, name, feed.StoppedToken, stopFor)
		if !errors.Is(err, store.ErrNotOwner) {
			return err
		}
	}
	return store.ErrNotOwner
}

// Resume ends a pause, whether an operator or the destination is its reason.
func (c *Couriers) Resume(ctx context.Context, name string) error {
	r, err := c.find(name)
	if err != nil {
		return err
	}
	if err := c.opts.Feed.Release(ctx, name, feed.StoppedToken); err != nil {
		return err
	}
	return r.courier.Resume(ctx)
}

// Rewind has a destination get all events again that came into the feed at or after a time. A pause stays.
func (c *Couriers) Rewind(ctx context.Context, name string, to time.Time) error {
	r, err := c.find(name)
	if err != nil {
		return err
	}
	cursors := make([]store.Cursor, c.opts.Feed.Partitions())
	for p := range cursors {
		if cursors[p], err = c.opts.Feed.Since(ctx, p, to); err != nil {
			return err
		}
	}
	all, err := c.opts.Feed.Destinations(ctx)
	if err != nil {
		return err
	}
	if err := c.move(ctx, name, cursors, all[name].Owner == feed.StoppedToken); err != nil {
		return err
	}
	r.courier.Reread()
	return nil
}

// Snapshot begins to send all tickets of the site to a destination.
func (c *Couriers) Snapshot(ctx context.Context, name string) error {
	r, err := c.find(name)
	if err != nil {
		return err
	}
	if r.courier.Status(nil).State == feed.StateElsewhere {
		return fmt.Errorf("%q: %w", name, ErrElsewhere)
	}
	return r.courier.Snapshot(ctx, c.opts.Rows)
}

// Letters returns up to limit letters of a destination behind a key, oldest first.
func (c *Couriers) Letters(ctx context.Context, name string, after uint64, limit int) ([]store.FeedLetter, error) {
	return c.opts.Feed.FeedLetters(ctx, name, after, limit)
}

// lettersAtOnce is how many letters an operation on all letters reads at once.
const lettersAtOnce = 100

// Retry has the events of dead letters tried again; keys nil stands for all. Retry returns the number of letters. The letters of
// a destination that clients read are delivered to them again.
func (c *Couriers) Retry(ctx context.Context, name string, keys []uint64) (int, error) {
	r := c.named(name)
	if r == nil {
		all, err := c.opts.Feed.Destinations(ctx)
		if _, there := all[name]; err != nil || !there {
			return 0, cmp.Or(err, fmt.Errorf("%q: %w", name, ErrNoDestination))
		}
	}
	n, err := c.eachDead(ctx, name, keys, func(l *store.FeedLetter) (int, error) {
		again := *l
		again.Held, again.Since, again.Tries = true, time.Now(), 0
		return feed.ReplaceLetter(ctx, c.opts.Feed, name, l.Key, &again)
	})
	if n > 0 && r != nil {
		err = errors.Join(err, r.courier.Resume(ctx))
	}
	return n, err
}

// Drop removes dead letters; keys nil stands for all dead ones. A key may also name a letter that is still tried. Drop returns
// the number of letters.
func (c *Couriers) Drop(ctx context.Context, name string, keys []uint64) (int, error) {
	if keys != nil {
		n, err := c.opts.Feed.DropLetters(ctx, name, keys)
		if r := c.named(name); n > 0 && r != nil {
			r.courier.Reread()
		}
		return n, err
	}
	return c.eachDead(ctx, name, nil, func(l *store.FeedLetter) (int, error) {
		return c.opts.Feed.DropLetters(ctx, name, []uint64{l.Key})
	})
}

// Erase removes the events of tickets from the feed, and the letters of all destinations that have such events, for a person's
// privacy.
func (c *Couriers) Erase(ctx context.Context, ids []ticket.ID) error {
	if _, err := c.opts.Feed.Erase(ctx, ids); err != nil {
		return err
	}
	all, err := c.opts.Feed.Destinations(ctx)
	if err != nil {
		return err
	}
	of := make(map[ticket.ID]bool, len(ids))
	for _, id := range ids {
		of[id] = true
	}
	for name, d := range all {
		if d.Letters == 0 {
			continue
		}
		if _, err := feed.EraseLetters(ctx, c.opts.Feed, name, of); err != nil {
			return err
		}
	}
	return nil
}

// eachDead calls do for dead letters, and returns the sum of what do returns.
func (c *Couriers) eachDead(
	ctx context.Context, name string, keys []uint64, do func(*store.FeedLetter) (int, error),
) (int, error) {
	wanted := map[uint64]bool{}
	for _, key := range keys {
		wanted[key] = true
	}
	sum := 0
	for after := uint64(0); ; {
		letters, err := c.opts.Feed.FeedLetters(ctx, name, after, lettersAtOnce)
		if err != nil || len(letters) == 0 {
			return sum, err
		}
		for i := range letters {
			l := &letters[i]
			after = l.Key
			if l.Held || keys != nil && !wanted[l.Key] {
				continue
			}
			n, err := do(l)
			sum += n
			if err != nil {
				return sum, err
			}
		}
		if len(letters) < lettersAtOnce {
			return sum, nil
		}
	}
}

// Await waits, until ctx ends, for a destination to have every event that was in the feed at the call, and says whether it has.
// Another host's daemon may serve the destination.
func (c *Couriers) Await(ctx context.Context, name string) bool {
	ends, err := c.ends(ctx)
	r := c.named(name)
	if err != nil || r == nil {
		return false
	}
	const look = 10 * time.Millisecond
	for {
		if r.courier.Passed(ends) {
			return true
		}
		r.courier.Wake()
		if r.courier.Status(nil).State == feed.StateElsewhere && c.storedAt(ctx, name, ends) {
			return true
		}
		select {
		case <-time.After(look):
		case <-ctx.Done():
			return false
		}
	}
}

// storedAt says whether the store's cursors of a destination have reached the given ends.
func (c *Couriers) storedAt(ctx context.Context, name string, ends []store.Cursor) bool {
	all, err := c.opts.Feed.Destinations(ctx)
	if err != nil || len(all[name].Cursors) != len(ends) {
		return false
	}
	for p, end := range ends {
		if !all[name].Cursors[p].Reached(end) {
			return false
		}
	}
	return true
}
