package site

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
)

// letterPlace begins the cursor of an event that an operator has sent again to a consumer; the letter's key follows.
const letterPlace = "letter:"

// lookEvery is how often a consumer's letters are searched for those that another host's operator has sent again.
const lookEvery = 10 * time.Second

// Again says that a consumer has letters to be delivered again.
func (f *Pull) Again(name string) {
	if f.reserved(name) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.consumer(name)
	c.looked, c.dead = time.Time{}, 0
}

// again finds the oldest letter that an operator has sent again, nil if there is none. A search goes on behind the letters that
// an earlier search has seen.
func (f pulled) again(ctx context.Context, name string) (found *store.FeedLetter, err error) {
	f.mu.Lock()
	c := f.consumer(name)
	looked, dead := c.looked, c.dead
	f.mu.Unlock()
	if time.Since(looked) < lookEvery {
		return nil, nil //nolint:nilnil // no letter is no error
	}
	const page = 100
	for more := true; more && found == nil; {
		letters, err := f.FeedLetters(ctx, name, dead, page)
		if err != nil {
			return nil, err
		}
		more = len(letters) == page
		for i := range letters {
			if letters[i].Held {
				found = &letters[i]
				break
			}
			dead = letters[i].Key
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c = f.consumer(name)
	if c.dead = dead; found == nil {
		c.looked = time.Now()
	}
	return found, nil
}

// letter answers with a letter that an operator has sent again, if there is one: the only event of its answer. After too many
// deliveries the letter is dead again.
func (r *reader) letter(ctx context.Context, name string) (found bool, err error) {
	for {
		l, err := r.again(ctx, name)
		if l == nil || err != nil {
			return false, err
		}
		event := wireEvent(r.table, r.shown(&l.Event))
		event.Cursor = letterPlace + strconv.FormatUint(l.Key, 10)
		if event.Deliveries = r.count(name, event.Cursor); event.Deliveries <= maxDeliveries {
			r.events = []protocol.FeedEvent{event}
			return true, nil
		}
		if err := r.bury(ctx, name, l, undelivered, maxDeliveries); err != nil {
			return false, err
		}
	}
}

// bury makes a letter dead again.
func (f pulled) bury(ctx context.Context, name string, l *store.FeedLetter, reason string, tries int) error {
	dead := *l
	dead.Held, dead.Reason, dead.Tries, dead.At = false, reason, tries, time.Now()
	_, err := feed.ReplaceLetter(ctx, f, name, l.Key, &dead)
	return err
}

// ackLetter takes the acknowledgement of a letter, or its refusal; is says whether it is about one.
func (f pulled) ackLetter(ctx context.Context, p *protocol.FeedAckParams) (is bool, err error) {
	text, is := strings.CutPrefix(p.Cursor, letterPlace)
	if !is {
		return false, nil
	}
	key, err := strconv.ParseUint(text, 10, 63)
	if err != nil || key == 0 {
		return true, errCursor
	}
	if _, err := f.own(ctx, p.Consumer, p.Token, 0); err != nil {
		return true, err
	}
	if p.Refused == "" {
		_, err := f.DropLetters(ctx, p.Consumer, []uint64{key})
		return true, err
	}
	letters, err := f.FeedLetters(ctx, p.Consumer, key-1, 1)
	if err != nil || len(letters) == 0 || letters[0].Key != key {
		return true, err // dropped meanwhile
	}
	return true, f.bury(ctx, p.Consumer, &letters[0], p.Refused, 1)
}
