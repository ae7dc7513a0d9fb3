package feed

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

const (
	// letterPage is how many letters are read at once; heldAtOnce is how many held tickets are tried at once.
	letterPage = 500
	heldAtOnce = 64
	// heldEvery is how often the letters are read again: operators and other hosts add and remove letters.
	heldEvery = 30 * time.Second
)

// held are the tickets with refused events that are still tried. The events are letters in the store, so that the cursor passes
// them; all later events of such a ticket follow there, in order.
type held struct {
	tickets map[ticket.ID]*heldTicket
	letters int // all, the dead ones included
	dead    int
	read    time.Time
}

type heldTicket struct {
	keys  []uint64 // the ticket's letters, oldest first
	until time.Time
	pause time.Duration
	// passes is how many events the destination had confirmed at the last failure.
	passes int64
}

// stale makes the next turn read the letters.
func (h *held) stale() { h.read = time.Time{} }

// wait is the time until the next held ticket is due.
func (h *held) wait(now time.Time) time.Duration {
	wait := heldEvery
	for _, t := range h.tickets {
		wait = min(wait, max(t.until.Sub(now), 0))
	}
	return wait
}

// due are held tickets to try now.
func (h *held) due(now time.Time) (of []ticket.ID) {
	for id, t := range h.tickets {
		if !now.Before(t.until) && len(of) < heldAtOnce {
			of = append(of, id)
		}
	}
	return of
}

// loadHeld reads the letters again where it is time.
func (c *Courier) loadHeld(ctx context.Context) error {
	now := time.Now()
	if !c.held.read.IsZero() && now.Sub(c.held.read) < heldEvery {
		return nil
	}
	fresh := held{tickets: map[ticket.ID]*heldTicket{}, read: now}
	for after := uint64(0); ; {
		letters, err := c.source.FeedLetters(ctx, c.opts.Name, after, letterPage)
		if err != nil {
			return err
		}
		for i := range letters {
			l := &letters[i]
			after = l.Key
			fresh.letters++
			if !l.Held {
				fresh.dead++
				continue
			}
			fresh.add(l)
		}
		if len(letters) < letterPage {
			break
		}
	}
	for id, t := range fresh.tickets {
		if had := c.held.tickets[id]; had != nil {
			t.until, t.pause, t.passes = had.until, had.pause, had.passes
		}
	}
	c.held = fresh
	c.stats.letters.Store(int64(fresh.dead))
	c.stats.held.Store(int64(fresh.letters - fresh.dead))
	return nil
}

func (h *held) add(l *store.FeedLetter) {
	t := h.tickets[l.Event.Ticket]
	if t == nil {
		t = &heldTicket{}
		h.tickets[l.Event.Ticket] = t
	}
	t.keys = append(t.keys, l.Key)
}

// setAside makes letters of the events of held tickets: they wait behind the refused event.
func (c *Courier) setAside(ctx context.Context) error {
	if len(c.held.tickets) == 0 {
		return nil
	}
	var items []*item
	for _, it := range c.window.items {
		if c.held.tickets[it.event.Ticket] != nil {
			items = append(items, it)
		}
	}
	return c.keep(ctx, items)
}

// hold makes letters of the refused events of tickets, and of all later events of these tickets.
func (c *Courier) hold(ctx context.Context, ids []ticket.ID) {
	if len(ids) == 0 {
		return
	}
	of := map[ticket.ID]bool{}
	for _, id := range ids {
		of[id] = true
	}
	var items []*item
	for _, it := range c.window.items {
		if of[it.event.Ticket] {
			items = append(items, it)
		}
	}
	if err := c.keep(ctx, items); err != nil {
		c.repeats.Warn().Err(err).Msg("refused events cannot be set aside: they are tried again")
		return
	}
	for _, id := range ids {
		if f := c.failing[id]; f != nil && c.held.tickets[id] != nil {
			c.held.tickets[id].until, c.held.tickets[id].pause = f.until, f.pause
			c.repeats.Warn().Int64("ticket", int64(id)).Err(f.verdict.Err).
				Msg("the destination refuses an event: it is tried again for give_up, and the ticket's later events wait behind it")
			delete(c.failing, id)
		}
	}
}

// keep makes letters of items.
func (c *Courier) keep(ctx context.Context, items []*item) error {
	if len(items) == 0 {
		return nil
	}
	now := time.Now()
	done := map[*item]bool{}
	defer func() { c.window.resolve(done) }()
	for _, it := range items {
		l := store.FeedLetter{Event: it.event, At: now, Since: now, Held: true, Reason: behindRefused}
		f := c.failing[it.event.Ticket]
		if f != nil && f.tries > 0 {
			l.Reason, l.Answer, l.Since, l.Tries = f.verdict.Err.Error(), f.verdict.Answer, f.since, f.tries
		}
		if err := c.source.AddLetter(ctx, c.opts.Name, &l); err != nil {
			return err
		}
		if f != nil {
			f.tries = 0 // the reason is that of the first of the ticket's events
		}
		c.held.add(&l)
		c.held.letters++
		c.stats.held.Add(1)
		done[it] = true
	}
	return nil
}

// behindRefused is the reason of a letter whose event the destination has not seen yet.
const behindRefused = "waits behind a refused event of the ticket"

// tryHeld publishes the oldest letters of the held tickets that are due, and says whether there were any.
func (c *Courier) tryHeld(ctx context.Context) bool {
	now := time.Now()
	of := c.held.due(now)
	if len(of) == 0 {
		return false
	}
	letters, err := c.lettersOf(ctx, of)
	if err != nil || len(letters) != len(of) { // an operator has dropped a letter
		c.held.stale()
		if err == nil {
			err = c.loadHeld(ctx)
		}
		if err != nil {
			c.repeats.Warn().Err(err).Msg("the letters cannot be read")
		}
		for _, id := range of {
			if t := c.held.tickets[id]; t != nil {
				t.until = now.Add(c.opts.FirstPause)
			}
		}
		return false
	}
	events := make([]ticket.Event, len(letters))
	for i := range letters {
		events[i] = letters[i].Event
	}
	verdicts, confirmed := c.publish(ctx, events)
	if ctx.Err() != nil {
		return false
	}
	if confirmed > 0 {
		c.recovered()
	}
	now = time.Now()
	for i := range letters {
		v := &verdicts[i]
		c.settleHeld(ctx, of[i], &letters[i], v, now)
		if until := now.Add(v.After); v.After > 0 && c.trouble.until.Before(until) {
			c.trouble.until = until
		}
	}
	return true
}

// forgetErased drops what the destination has not got yet of the tickets whose erasure is among the events: the store has
// forgotten it.
func (c *Courier) forgetErased(ctx context.Context, events []ticket.Event) error {
	of := map[ticket.ID]bool{}
	for i := range events {
		if events[i].Kind == ticket.EventErased {
			of[events[i].Ticket] = true
			delete(c.failing, events[i].Ticket)
		}
	}
	if len(of) == 0 {
		return nil
	}
	moot := map[*item]bool{}
	for _, it := range c.window.items {
		if of[it.event.Ticket] && it.event.Kind != ticket.EventErased {
			moot[it] = true
		}
	}
	c.window.resolve(moot)
	if _, err := EraseLetters(ctx, c.source, c.opts.Name, of); err != nil {
		return err
	}
	c.held.stale()
	return c.loadHeld(ctx)
}

// EraseLetters removes a destination's letters of tickets, except those that tell an erasure, and returns their number.
func EraseLetters(ctx context.Context, from store.FeedLetters, destination string, of map[ticket.ID]bool) (int, error) {
	sum := 0
	for after := uint64(0); ; {
		letters, err := from.FeedLetters(ctx, destination, after, letterPage)
		if err != nil || len(letters) == 0 {
			return sum, err
		}
		var keys []uint64
		for i := range letters {
			if l := &letters[i]; of[l.Event.Ticket] && l.Event.Kind != ticket.EventErased {
				keys = append(keys, l.Key)
			}
		}
		after = letters[len(letters)-1].Key
		if len(keys) > 0 {
			n, err := from.DropLetters(ctx, destination, keys)
			if sum += n; err != nil {
				return sum, err
			}
		}
	}
}

// ReplaceLetter keeps a letter instead of the one with a key, and returns how many were there. If the destination has as many
// letters as the feed keeps, the old letter goes first: a crash in between loses its event.
func ReplaceLetter(
	ctx context.Context, in store.FeedLetters, destination string, key uint64, by *store.FeedLetter,
) (n int, err error) {
	err = in.AddLetter(ctx, destination, by)
	full := errors.Is(err, store.ErrFullLetters)
	if err != nil && !full {
		return 0, err
	}
	n, err = in.DropLetters(ctx, destination, []uint64{key})
	if err == nil && full && n > 0 {
		if err = in.AddLetter(context.WithoutCancel(ctx), destination, by); err != nil {
			err = fmt.Errorf("the letter with event %s is lost: %w", by.Event.ID(), err)
		}
	}
	return n, err
}

// lettersOf reads the oldest letters of held tickets.
func (c *Courier) lettersOf(ctx context.Context, of []ticket.ID) ([]store.FeedLetter, error) {
	letters := make([]store.FeedLetter, 0, len(of))
	for _, id := range of {
		key := c.held.tickets[id].keys[0]
		found, err := c.source.FeedLetters(ctx, c.opts.Name, key-1, 1)
		if err != nil {
			return nil, err
		}
		if len(found) == 1 && found[0].Key == key {
			letters = append(letters, found[0])
		}
	}
	return letters, nil
}

// settleHeld draws the consequence of a verdict about a held event.
func (c *Courier) settleHeld(ctx context.Context, id ticket.ID, l *store.FeedLetter, v *Verdict, now time.Time) {
	t := c.held.tickets[id]
	t.pause = c.grown(t.pause)
	t.until = now.Add(max(t.pause, v.After))
	down := v.Decision == Later && (v.Unsent || c.passes == t.passes) // no fault of the event
	t.passes = c.passes
	switch {
	case v.Decision == Paused:
		c.pause(v, now)
		return
	case v.Decision != Confirmed && !c.trouble.is() && c.stats.state() == StatePaused: // the destination answers again
		c.stats.set(StateRetrying, v.Err.Error(), now)
	default:
	}
	switch {
	case down, v.Decision != Confirmed && now.Sub(l.Since) < c.opts.GiveUp:
		return
	case v.Decision != Confirmed:
		if !c.giveUp(ctx, l, v, now) {
			return
		}
	default:
		if _, err := c.source.DropLetters(ctx, c.opts.Name, []uint64{l.Key}); err != nil {
			c.repeats.Warn().Err(err).Msg("a letter cannot be removed: its event is published again")
			return
		}
		c.held.letters--
	}
	c.stats.held.Add(-1)
	t.until, t.pause = now, 0
	if t.keys = t.keys[1:]; len(t.keys) == 0 {
		delete(c.held.tickets, id)
	}
}

// giveUp makes a held letter a dead one.
func (c *Courier) giveUp(ctx context.Context, l *store.FeedLetter, v *Verdict, now time.Time) (dead bool) {
	letter := *l
	letter.Held, letter.Reason, letter.Answer, letter.Tries, letter.At = false, v.Err.Error(), v.Answer, l.Tries+1, now
	n, err := ReplaceLetter(ctx, c.source, c.opts.Name, l.Key, &letter)
	if err != nil {
		c.repeats.Warn().Err(err).Msg("an event that was refused for give_up cannot become a dead letter")
	}
	if err != nil || n == 0 {
		c.held.stale() // a letter that is still there is tried again
		return false
	}
	c.held.dead++
	c.stats.letters.Add(1)
	c.opts.Log.Error().Int64("ticket", int64(l.Event.Ticket)).Err(v.Err).
		Msg("the destination has refused an event for give_up: the event is a dead letter")
	return true
}
