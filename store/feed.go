package store

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Feed is the sequence of a site's changes as a store keeps it: in Redis a stream per partition, without Redis the journal's own
// records. [storetest.RunFeed] is the contract as tests.
//
// The feed has an event of every change that the store makes while the feed is on, in the order in which the store makes the
// changes. The events of a partition have contiguous numbers from 1. A repetition of a request, a conflict and a refusal make no
// event. The feed is bounded, and never the reason for refusing a write: at a bound the feed loses its oldest events, and readers
// get an [ticket.EventGap] instead.
type Feed interface {
	FeedReader
	FeedCouriers
	FeedLetters
	FeedKeeper
}

// FeedReader is the side of a feed that everybody who follows it uses.
type FeedReader interface {
	// Partitions is the number of the feed's partitions, which are numbered from 0. A ticket's events are all in one partition.
	Partitions() int
	// Events returns up to limit events of a partition behind a cursor, oldest first, and the cursor behind them. The empty cursor
	// stands before the oldest event that the feed still has. If events behind the cursor are lost, the page's first event is an
	// [ticket.EventGap] that counts them. If the store was emptied or replaced since the cursor was made, the first event is an
	// [ticket.EventReset], and the events that follow are the oldest that the feed has. Such an event counts for limit, and has
	// no ticket. Events never returns an event of a change that a loss of power could still take back under a journal's
	// fsync = "always".
	Events(ctx context.Context, partition int, after Cursor, limit int) (FeedPage, error)
	// End returns the cursor behind the newest event of a partition. The events that are pending for a reader are
	// End.Number() - cursor.Number(), if the fillings are equal.
	End(ctx context.Context, partition int) (Cursor, error)
	// Since returns the cursor before the first event that came into the partition at or after a time.
	Since(ctx context.Context, partition int, at time.Time) (Cursor, error)
	// Wait returns when some partition may have an event behind its cursor in after, which has one cursor per partition, or with
	// ctx's error. Wait sees the changes of every host. Wait may return without a new event; it does not spin.
	Wait(ctx context.Context, after []Cursor) error
}

// FeedCouriers keeps how far destinations have come, and which courier may serve a destination. A destination is known by the
// name that its configuration gives; see [DestinationName].
type FeedCouriers interface {
	// Own takes the right to serve a destination for the time of lease, or renews the right under the same token. Own returns the
	// destination's cursor of each partition that answers; the cursors of a new destination are empty, so that a destination gets
	// every change from the switch on, and the reset event of a Redis that was emptied. [ErrNotOwner] if another token has the
	// right. A courier takes its cursors from every renewal: after a fail-over of Redis the cursors may have gone back, together
	// with the feed.
	Own(ctx context.Context, destination, token string, lease time.Duration) (map[int]Cursor, error)
	// Advance says that the destination has everything up to a cursor. A cursor before the present one changes nothing.
	// [ErrNotOwner] if token has not, or no longer, the right to serve the destination.
	Advance(ctx context.Context, destination, token string, partition int, upTo Cursor) error
	// Release gives the right back before the lease ends. Release does nothing if token does not have the right.
	Release(ctx context.Context, destination, token string) error
	// Rewind sets the destination's cursors, backwards or forwards, for an operator: one per partition. The present courier loses
	// the right to serve the destination, so that the courier reads the cursors again.
	Rewind(ctx context.Context, destination string, to []Cursor) error
	// Destinations returns the state of every destination that has ever owned or been rewound, by name.
	Destinations(ctx context.Context) (map[string]Destination, error)
	// Forget removes a destination's cursors and letters: the feed keeps no events for this destination any more.
	Forget(ctx context.Context, destination string) error
}

// FeedLetters keeps the events that a destination will never accept.
type FeedLetters interface {
	// AddLetter keeps a letter. An error that wraps [ErrFullLetters] says that the destination has [MaxFeedLetters] letters already.
	AddLetter(ctx context.Context, destination string, letter *FeedLetter) error
	// FeedLetters returns up to limit letters of a destination with keys above after, oldest first; fewer than limit are the last.
	FeedLetters(ctx context.Context, destination string, after uint64, limit int) ([]FeedLetter, error)
	// DropLetters removes letters by their keys, and returns how many there were.
	DropLetters(ctx context.Context, destination string, keys []uint64) (int, error)
}

// FeedKeeper is the side of a feed that the daemon uses to bound it.
type FeedKeeper interface {
	// Switch turns the feed on with its bounds, or off. The switch is in the store, so it holds for all daemons of the site. A
	// daemon switches at its start, and whenever its configuration changes. Turning the feed off keeps events, cursors and letters.
	// A feed that had events and is turned on again has an [ticket.EventReset] next, as changes may be missing.
	Switch(ctx context.Context, to FeedSwitch) error
	// Append adds events that are not changes ([ticket.EventErased], [ticket.EventReset] …) to the partitions of their tickets, and
	// an event without a ticket to every partition. Append does nothing while the feed is off. The store sets Partition, Number,
	// Recorded.
	Append(ctx context.Context, events []ticket.Event) error
	// Trim removes the events that every destination has and that are older than keep. Without destinations Trim removes nothing,
	// and MaxEvents alone bounds the feed.
	Trim(ctx context.Context, keep time.Duration) error
	// Erase removes the events of tickets, except [ticket.EventErased], for a person's privacy, and returns how many events it
	// removed. Readers get no gap event for them. A journal cannot change its records: it leaves the events out of pages until
	// their segments go.
	Erase(ctx context.Context, ids []ticket.ID) (int, error)
	// Usage returns the feed's size as the store itself reports it.
	Usage(ctx context.Context) (FeedUsage, error)
}

// Cursor says how far a reader has come in a partition: behind which event. Cursors are texts without spaces, made by a store,
// that a client may keep: FILLING.NUMBER.PLACE. The empty cursor stands before the oldest event.
type Cursor string

// NewCursor makes a cursor of a store: filling is what the numbers belong to (a filling of Redis, a journal), number is the
// number of the last event before the cursor, and place is where the store finds that event.
func NewCursor(filling string, number uint64, place string) Cursor {
	return Cursor(filling + "." + strconv.FormatUint(number, 10) + "." + place)
}

// MaxCursor bounds a cursor's length in bytes.
const MaxCursor = 128

// ParseCursor checks a cursor that comes from a client or from a record.
func ParseCursor(text string) (Cursor, error) {
	c := Cursor(text)
	if text == "" {
		return c, nil
	}
	filling, number, place := c.parts()
	if _, err := strconv.ParseUint(number, 10, 64); err != nil || filling == "" || place == "" || len(text) > MaxCursor ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", ErrCursor
	}
	return c, nil
}

func (c Cursor) parts() (filling, number, place string) {
	filling, rest, _ := strings.Cut(string(c), ".")
	number, place, _ = strings.Cut(rest, ".")
	return filling, number, place
}

// Filling is what the cursor's number belongs to; empty for the empty cursor.
func (c Cursor) Filling() string {
	filling, _, _ := c.parts()
	return filling
}

// Number is the number of the last event before the cursor; 0 for the empty cursor.
func (c Cursor) Number() uint64 {
	_, text, _ := c.parts()
	n, _ := strconv.ParseUint(text, 10, 64)
	return n
}

// Place is where the store finds the last event before the cursor.
func (c Cursor) Place() string {
	_, _, place := c.parts()
	return place
}

// Reached says that a reader at c has every event that stood before end: also if the feed has begun again since.
func (c Cursor) Reached(end Cursor) bool {
	return end.Number() == 0 || (c != "" && (c.Filling() != end.Filling() || c.Number() >= end.Number()))
}

// FeedPage is the result of [FeedReader].Events.
type FeedPage struct {
	Events []ticket.Event
	// Cursors has the cursor behind each event, so that a reader may stop after any of them.
	Cursors []Cursor
	// Next is the cursor behind the page: that of the last event, or the given cursor if no event follows yet. Next may be ahead of
	// the given cursor without an event, where the store passed over erased events.
	Next Cursor
}

// Add appends an event and the cursor behind it.
func (p *FeedPage) Add(event *ticket.Event, behind Cursor) {
	p.Events, p.Cursors, p.Next = append(p.Events, *event), append(p.Cursors, behind), behind
}

// GapEvent makes the event that says that a partition's events first to last are lost.
func GapEvent(partition int, first, last uint64, now time.Time) *ticket.Event {
	return &ticket.Event{
		Kind: ticket.EventGap, Partition: partition, Number: last, First: first, Last: last, Lost: last - first + 1,
		At: now, Recorded: now,
	}
}

// ResetEvent makes the event that says that the store was emptied or replaced since a reader's cursor was made.
func ResetEvent(partition int, now time.Time) *ticket.Event {
	return &ticket.Event{
		Kind: ticket.EventReset, Partition: partition, At: now, Recorded: now,
		Note: "the store was emptied or replaced: events that were not read before are lost",
	}
}

// ResumedEvent makes the event that says that the feed is on again, and lacks the changes that were made while it was off.
func ResumedEvent(partition int, now time.Time) *ticket.Event {
	e := ResetEvent(partition, now)
	e.Note = "the feed was off: changes that were made meanwhile are missing"
	return e
}

// Destination is how far a destination has come.
type Destination struct {
	// Cursors has one cursor per partition.
	Cursors []Cursor
	// Owner is the token that has the right to serve the destination, until Until; empty if no token has.
	Owner string
	Until time.Time
	// Letters counts the destination's letters.
	Letters int64
}

// FeedLetter is an event that a destination will not accept.
type FeedLetter struct {
	// Key grows from letter to letter of a destination. AddLetter sets it.
	Key   uint64
	Event ticket.Event
	// Reason says why, Answer are the first bytes of the destination's answer, and Tries counts the deliveries.
	Reason string
	Answer []byte
	Tries  int
	At     time.Time
	// Since is when the destination refused the event for the first time; zero where only At is known.
	Since time.Time
	// Held says that the courier still tries the event. A letter that is not held is dead: only an operator has it tried again.
	Held bool
}

// FeedSwitch turns a feed on or off.
type FeedSwitch struct {
	On bool
	// MaxEvents bounds the events of the whole feed; 0 means [DefaultFeedEvents]. In a cluster each partition has its share. A
	// journal is bounded by MaxBytes alone.
	MaxEvents int64
	// MaxBytes bounds the segments that a journal keeps for the feed alone. Redis does not look at MaxBytes: see [FeedKeeper].Usage.
	MaxBytes int64
}

// FeedUsage is the size of a feed.
type FeedUsage struct {
	// On says that the feed is on.
	On bool
	// Events counts the events that the feed has, Bytes their memory or disk as the store reports it.
	Events, Bytes int64
	// Oldest is when the oldest event came into the feed; zero without events.
	Oldest time.Time
}

// The bounds of a feed.
const (
	DefaultFeedEvents = 200_000
	// MaxFeedValue is the length, in bytes, above which an event omits a value.
	MaxFeedValue = 4 << 10
	// MaxFeedPage bounds the limit of a page.
	MaxFeedPage = 1000
	// MaxFeedLetters bounds the letters of a destination.
	MaxFeedLetters = 10_000
	// MaxDestinations bounds the destinations of a site.
	MaxDestinations = 64
)

var (
	// ErrFullLetters refuses a letter: the destination has [MaxFeedLetters] already.
	ErrFullLetters = errors.New("too many letters")
	// ErrNotOwner refuses a courier's call: another courier serves the destination.
	ErrNotOwner = errors.New("another courier serves the destination")
	// ErrCursor refuses a text that is no cursor.
	ErrCursor = errors.New("not a cursor of a feed")
)

// FullLetters is the error of a destination that has [MaxFeedLetters] letters: an [ErrFullLetters] and an [ErrFull].
func FullLetters(destination string) error {
	return fmt.Errorf("%w: %w", ErrFullLetters, &FullError{
		Bound:  "letters of the destination " + destination,
		Reason: fmt.Sprintf("the destination has refused %d events; retry or drop them", MaxFeedLetters),
	})
}

// DestinationName says whether a text may name a destination: 1 to 32 letters, digits, "-" and "_".
func DestinationName(name string) bool {
	return name != "" && len(name) <= 32 && !strings.ContainsFunc(name, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
	})
}
