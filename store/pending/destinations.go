package pending

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ticketd/ticketd/store"
)

// Destinations keeps the cursors, rights and letters of a feed's destinations in memory. Safe for concurrent use; see
// [NewDestinations].
type Destinations struct {
	now        func() time.Time
	partitions int

	mu     sync.Mutex
	byName map[string]*destination
}

// destination is how far a destination has come.
type destination struct {
	cursors []store.Cursor
	owner   string
	until   time.Time
	letters []store.FeedLetter // by key
	lastKey uint64
}

// NewDestinations makes an empty table for a feed with so many partitions.
func NewDestinations(now func() time.Time, partitions int) *Destinations {
	return &Destinations{now: now, partitions: partitions, byName: map[string]*destination{}}
}

// get returns a destination, or makes one. The caller holds the lock.
func (d *Destinations) get(name string) (*destination, error) {
	if known := d.byName[name]; known != nil {
		return known, nil
	}
	switch {
	case !store.DestinationName(name):
		return nil, fmt.Errorf("feed: %q is no destination's name", name)
	case len(d.byName) >= store.MaxDestinations:
		return nil, &store.FullError{
			Bound: "destinations of a feed", Reason: fmt.Sprintf("the feed keeps cursors of %d destinations; forget one", len(d.byName)),
		}
	}
	made := &destination{cursors: make([]store.Cursor, d.partitions)}
	d.byName[name] = made
	return made, nil
}

// Own implements [store.FeedCouriers].
func (d *Destinations) Own(name, token string, lease time.Duration) (map[int]store.Cursor, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.get(name)
	if err != nil {
		return nil, err
	}
	now := d.now()
	if at.owner != token && at.owner != "" && now.Before(at.until) {
		return nil, store.ErrNotOwner
	}
	at.owner, at.until = token, now.Add(lease)
	cursors := make(map[int]store.Cursor, len(at.cursors))
	for p, c := range at.cursors {
		cursors[p] = c
	}
	return cursors, nil
}

// Advance implements [store.FeedCouriers], and says whether the cursor has moved.
func (d *Destinations) Advance(name, token string, partition int, upTo store.Cursor) (moved bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.byName[name]
	switch {
	case at == nil || at.owner != token || !d.now().Before(at.until):
		return false, store.ErrNotOwner
	case at.cursors[partition].Reached(upTo) && at.cursors[partition].Filling() == upTo.Filling():
		return false, nil
	}
	at.cursors[partition] = upTo
	return true, nil
}

// Release implements [store.FeedCouriers].
func (d *Destinations) Release(name, token string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := d.byName[name]; at != nil && at.owner == token {
		at.owner, at.until = "", time.Time{}
	}
}

// Set sets a destination's cursors, and ends the right of its courier.
func (d *Destinations) Set(name string, to []store.Cursor) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.get(name)
	if err != nil {
		return err
	}
	if len(to) != d.partitions {
		return fmt.Errorf("feed: %d cursors for %d partitions", len(to), d.partitions)
	}
	at.cursors, at.owner, at.until = slices.Clone(to), "", time.Time{}
	return nil
}

// All implements [store.FeedCouriers].Destinations.
func (d *Destinations) All() map[string]store.Destination {
	d.mu.Lock()
	defer d.mu.Unlock()
	now, all := d.now(), make(map[string]store.Destination, len(d.byName))
	for name, at := range d.byName {
		one := store.Destination{Cursors: slices.Clone(at.cursors), Letters: int64(len(at.letters))}
		if now.Before(at.until) {
			one.Owner, one.Until = at.owner, at.until
		}
		all[name] = one
	}
	return all
}

// Forget implements [store.FeedCouriers].
func (d *Destinations) Forget(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.byName, name)
}

// Slowest returns the lowest cursor of a partition within a filling, and false without destinations: the events behind the cursor
// are pending for some destination.
func (d *Destinations) Slowest(filling string, partition int) (slowest store.Cursor, some bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.byName {
		c := at.cursors[partition]
		if c.Filling() != filling {
			c = "" // the destination has not begun, or follows an earlier filling
		}
		if !some || c.Number() < slowest.Number() {
			slowest, some = c, true
		}
	}
	return slowest, some
}

// AddLetter implements [store.FeedLetters].
func (d *Destinations) AddLetter(name string, letter *store.FeedLetter) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.get(name)
	if err != nil {
		return err
	}
	if len(at.letters) >= store.MaxFeedLetters {
		return store.FullLetters(name)
	}
	at.lastKey++
	letter.Key = at.lastKey
	at.letters = append(at.letters, *letter)
	return nil
}

// Letters implements [store.FeedLetters].
func (d *Destinations) Letters(name string, after uint64, limit int) []store.FeedLetter {
	d.mu.Lock()
	defer d.mu.Unlock()
	var letters []store.FeedLetter
	if at := d.byName[name]; at != nil {
		for i := range at.letters {
			if len(letters) < limit && at.letters[i].Key > after {
				letters = append(letters, at.letters[i])
			}
		}
	}
	return letters
}

// DropLetters implements [store.FeedLetters].
func (d *Destinations) DropLetters(name string, keys []uint64) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.byName[name]
	if at == nil {
		return 0
	}
	before := len(at.letters)
	at.letters = slices.DeleteFunc(at.letters, func(l store.FeedLetter) bool { return slices.Contains(keys, l.Key) })
	return before - len(at.letters)
}

// Put sets the cursor of a destination in the first partition, and who has the right to serve it, as a log has them.
func (d *Destinations) Put(name string, cursor store.Cursor, owner string, until time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at, err := d.get(name); err == nil {
		at.cursors[0], at.owner, at.until = cursor, owner, until
	}
}

// PutLetter puts a letter back, as a log has it.
func (d *Destinations) PutLetter(name string, letter *store.FeedLetter) {
	d.mu.Lock()
	defer d.mu.Unlock()
	at, err := d.get(name)
	if err != nil || slices.ContainsFunc(at.letters, func(l store.FeedLetter) bool { return l.Key == letter.Key }) {
		return
	}
	at.lastKey = max(at.lastKey, letter.Key)
	at.letters = append(at.letters, *letter)
}

// Known says whether the table has a destination.
func (d *Destinations) Known(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byName[name] != nil
}
