package site

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/couriers"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
)

// countedFeed counts the letters that are read.
type countedFeed struct {
	store.Feed

	read atomic.Int64
}

func (c *countedFeed) FeedLetters(ctx context.Context, name string, after uint64, limit int) ([]store.FeedLetter, error) {
	letters, err := c.Feed.FeedLetters(ctx, name, after, limit)
	c.read.Add(int64(len(letters)))
	return letters, err
}

// readers is a site whose feed clients read.
type readers struct {
	*desk

	feed *countedFeed
}

func newReaders(t *testing.T) readers {
	t.Helper()
	r := readers{newDesk(t), &countedFeed{Feed: pending.New().Feed()}}
	r.Couriers = couriers.New(couriers.Options{Feed: r.feed, Log: zerolog.Nop()})
	r.Pull.On = func() bool { return true }
	r.Pull.Reserved = func(name string) bool { return name == "crm" }
	if err := r.feed.Switch(t.Context(), store.FeedSwitch{On: true}); err != nil {
		t.Fatal(err)
	}
	return r
}

// letter keeps a letter for the consumer php.
func (r readers) letter(t *testing.T, id ticket.ID, held bool) {
	t.Helper()
	l := store.FeedLetter{Held: held, At: time.Now(), Event: touched(id)}
	if err := r.feed.AddLetter(t.Context(), "php", &l); err != nil {
		t.Fatal(err)
	}
}

// touched is a change with the table's own time.
func touched(id ticket.ID) ticket.Event {
	now := time.Now()
	return ticket.Event{Kind: ticket.EventUpdated, Ticket: id, Revision: 5, At: now, Recorded: now, Fields: ticket.Fields{
		{Name: "status", Value: ticket.Text("open")}, {Name: "updated_at", Value: ticket.Text("2026-01-01 00:00:00")},
	}}
}

func (r readers) poll(t *testing.T) []protocol.FeedEvent {
	t.Helper()
	result, err := r.FeedRead(t.Context(), &protocol.FeedReadParams{Consumer: "php", Token: "one"})
	if err != nil {
		t.Fatal(err)
	}
	return result.Events
}

func (r readers) ack(t *testing.T, event *protocol.FeedEvent, refused string) {
	t.Helper()
	_, err := r.FeedAck(t.Context(), &protocol.FeedAckParams{Consumer: "php", Token: "one", Cursor: event.Cursor, Refused: refused})
	if err != nil {
		t.Fatal(err)
	}
}

// A letter shows what the feed shows: no table's own time.
func TestLettersOfConsumersAreUntouched(t *testing.T) {
	t.Parallel()
	r := newReaders(t)
	r.poll(t) // makes the consumer
	if err := r.feed.Append(t.Context(), []ticket.Event{touched(1)}); err != nil {
		t.Fatal(err)
	}
	events := r.poll(t)
	if len(events) != 1 {
		t.Fatalf("events %+v", events)
	}
	r.ack(t, &events[0], "no")
	letters, err := r.FeedDeadList(t.Context(), &protocol.FeedDeadListParams{Name: "php"})
	if err != nil || len(letters.Letters) != 1 || len(letters.Letters[0].Fields) != 1 {
		t.Errorf("letters %+v, %v", letters, err)
	}
	r.letter(t, 2, true) // of an earlier build
	r.Pull.Again("php")
	if again := r.poll(t); len(again) != 1 || again[0].Ticket != 2 || len(again[0].Fields) != 1 {
		t.Errorf("sent again: %+v", again)
	}
}

// Each letter is read once, however often the consumer reads.
func TestDeadLettersAreSearchedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const dead = 250
		r := newReaders(t)
		for range dead {
			r.letter(t, 1, false)
		}
		for range 10 {
			r.poll(t)
			time.Sleep(lookEvery)
		}
		if n := r.feed.read.Load(); n != dead {
			t.Errorf("%d letters were read, want %d", n, dead)
		}
		for id := range ticket.ID(3) { // another host's operator
			r.letter(t, id+2, true)
		}
		for id := range int64(3) {
			events := r.poll(t)
			if len(events) != 1 || events[0].Ticket != id+2 {
				t.Fatalf("sent again: %+v", events)
			}
			r.ack(t, &events[0], "")
		}
		if events := r.poll(t); len(events) != 0 {
			t.Errorf("sent again: %+v", events)
		}
	})
}

// A consumer whose letters are at their bound can refuse a letter that was sent again.
func TestAConsumerWithAllLettersRefusesAgain(t *testing.T) {
	t.Parallel()
	r := newReaders(t)
	r.letter(t, 2, true)
	for range store.MaxFeedLetters - 1 {
		r.letter(t, 1, false)
	}
	events := r.poll(t)
	if len(events) != 1 || events[0].Ticket != 2 {
		t.Fatalf("sent again: %+v", events)
	}
	r.ack(t, &events[0], "no")
	if events := r.poll(t); len(events) != 0 {
		t.Errorf("sent again: %+v", events)
	}
}

// The daemon remembers as many consumers as a feed has, those that read last, and no destination.
func TestConsumersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newReaders(t)
		f := &r.Pull
		for n := range 2 * store.MaxDestinations {
			time.Sleep(time.Second)
			f.count("php", "0:a")
			time.Sleep(time.Second)
			f.count(strconv.Itoa(n), "0:a")
		}
		f.Again("crm")
		if n := f.count("php", "0:a"); n != 2*store.MaxDestinations+1 || len(f.consumers) != store.MaxDestinations {
			t.Errorf("delivery %d to a consumer that reads, %d consumers", n, len(f.consumers))
		}
		if f.consumers["crm"] != nil {
			t.Error("a destination is a consumer")
		}
	})
}
