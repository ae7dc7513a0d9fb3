package feed

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Publisher publishes events to one destination.
type Publisher interface {
	// Publish publishes the events and returns one verdict per event, in the same order. Unless the publisher is Ordered, no ticket
	// appears twice among the events. Publish returns when ctx ends at the latest; an event without an answer is Later.
	Publish(ctx context.Context, events []ticket.Event) []Verdict
	// Ordered says that the destination keeps the order of the events of one call by itself, also when some of them fail: after the
	// first event of a ticket that is not confirmed, no later event of that ticket is confirmed.
	Ordered() bool
	// Probe asks whether a paused destination would accept events again, without an event. nil means yes.
	Probe(ctx context.Context) error
	// Close closes the connections. Unconfirmed events are published again by the next publisher.
	Close() error
}

// Decision is what becomes of an event after Publish.
type Decision uint8

// The decisions.
const (
	// Later: the destination did not confirm; the same event is published again, after a pause. The zero value, so that an event
	// without an answer is never taken for confirmed.
	Later Decision = iota
	// Confirmed: the destination has the event.
	Confirmed
	// Paused: the destination as a whole takes no event until an operator or a probe says so.
	Paused
	// Refused: the destination will never take this event; other events may pass.
	Refused
)

// Verdict is a destination's answer about one event.
type Verdict struct {
	Decision Decision
	// Err says why, for every decision but Confirmed.
	Err error
	// After is the pause that the destination asked for; zero where it did not.
	After time.Duration
	// Unsent says that the publisher did not try the event, because of the answers to others: Err is no fault of the event.
	Unsent bool
	// Answer are the first bytes of the destination's answer to a refused event, at most [MaxAnswer].
	Answer []byte
}

// MaxAnswer bounds, in bytes, what is kept of a destination's answer.
const MaxAnswer = 4 << 10
