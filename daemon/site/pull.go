package site

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Pull is the feed of a site for clients that read it over the socket.
type Pull struct {
	// On says whether the configuration has the feed on. nil: it is off.
	On func() bool
	// Omit are the fields whose values no client gets. Optional.
	Omit func() []string
	// Reserved says that a name belongs to a destination which clients may not read as. Optional.
	Reserved func(name string) bool

	mu        sync.Mutex
	consumers map[string]*consumer
}

// consumer is what the daemon remembers of a consumer that reads over the socket.
type consumer struct {
	lease time.Duration
	// first is the event that the last answer began with, deliveries how often answers have begun with it.
	first      string
	deliveries int64
	// looked is when the consumer's letters were searched in vain for those to be delivered again. Those with keys up to dead are
	// for no consumer: a letter that is sent again gets a key of its own.
	looked time.Time
	dead   uint64
	used   time.Time
}

// maxDeliveries is how often an event is delivered as the first of an answer before the event becomes a letter: a consumer that
// dies of an event acknowledges all events before it.
const maxDeliveries = 5

// undelivered is the reason of such a letter.
const undelivered = "not acknowledged after five deliveries"

// waitMargin is the time that a waiting feed_read leaves for its answer.
const waitMargin = 100 * time.Millisecond

var (
	errFeedOff = protocol.Errorf(protocol.CodeInvalid, "the site's feed is off: set enabled = true in the section "+
		"[sites.NAME.feed]")
	errToken  = &protocol.Error{Code: protocol.CodeConflict, Field: "token", Message: "another runner reads for the consumer"}
	errPlace  = protocol.Invalid("after", "after is the array next of the answer before, from this site")
	errCursor = protocol.Invalid("cursor", "the feed has no such place behind the consumer's own: read again")
)

// Features implements [daemon.Site].
func (f *Feeds) Features() []string {
	features := []string{protocol.FeatureBy}
	if f.Couriers != nil {
		features = append(features, protocol.FeatureFeedStatus, protocol.FeatureErase)
	}
	if f.pulls() {
		features = append(features, protocol.FeatureFeed)
	}
	if keeps, _ := f.keeps(); keeps {
		features = append(features, protocol.FeatureHistory)
	}
	return features
}

// pulls says whether clients may read the feed.
func (f *Feeds) pulls() bool { return f != nil && f.Couriers != nil && f.Pull.On != nil && f.Pull.On() }

// FeedRead implements [daemon.Site].
func (f *Feeds) FeedRead(ctx context.Context, p *protocol.FeedReadParams) (protocol.FeedReadResult, error) {
	if !f.pulls() {
		return protocol.FeedReadResult{}, errFeedOff
	}
	limit := p.Limit
	if limit == 0 {
		limit = protocol.DefaultFeedLimit
	}
	r := reader{pulled: f.pulled(), limit: limit}
	result, err := r.answer(ctx, p)
	switch {
	case errors.Is(err, store.ErrNotOwner):
		return protocol.FeedReadResult{Events: []protocol.FeedEvent{}, Busy: true}, nil
	case errors.Is(err, store.ErrCursor):
		return protocol.FeedReadResult{}, errPlace
	}
	return result, answer(err)
}

// answer reads for a consumer, or for a client that keeps its own place.
func (r *reader) answer(ctx context.Context, p *protocol.FeedReadParams) (result protocol.FeedReadResult, err error) {
	if p.Consumer == "" {
		if r.cursors, err = r.places(ctx, p); err == nil {
			err = r.readOrWait(ctx, p)
		}
		return protocol.FeedReadResult{Events: r.events, Next: placesOf(r.cursors)}, err
	}
	if r.cursors, err = r.own(ctx, p.Consumer, p.Token, p.Lease); err == nil {
		var found bool
		if found, err = r.letter(ctx, p.Consumer); found {
			return protocol.FeedReadResult{Events: r.events}, nil
		}
	}
	if err == nil {
		err = r.readOrWait(ctx, p)
	}
	if err == nil {
		err = r.deliver(ctx, p, r)
	}
	return protocol.FeedReadResult{Events: r.events}, err
}

// pulled is the feed as clients read it.
type pulled struct {
	store.Feed
	*Pull

	table *table.Definition // nil while not known
}

func (f *Feeds) pulled() pulled {
	return pulled{f.Couriers.Feed(), &f.Pull, f.site.Database.Definition()}
}

// own takes the right to read for a consumer.
func (f pulled) own(ctx context.Context, name, token string, lease time.Duration) (map[int]store.Cursor, error) {
	if f.reserved(name) {
		return nil, protocol.Invalid("consumer", "the name belongs to a destination of the configuration")
	}
	f.mu.Lock()
	c := f.consumer(name)
	if lease != 0 {
		c.lease = lease
	}
	lease = c.lease
	f.mu.Unlock()
	return f.Own(ctx, name, strings.Clone(token), lease) // a store keeps the token beyond the request
}

func (f *Pull) reserved(name string) bool { return f.Reserved != nil && f.Reserved(name) }

// consumer returns what is known of a consumer, of as many consumers as a feed has destinations. The caller holds the lock.
func (f *Pull) consumer(name string) *consumer {
	c := f.consumers[name]
	if c == nil {
		f.forgetUnused()
		c = &consumer{lease: protocol.DefaultFeedLease}
		f.consumers[strings.Clone(name)] = c // a name is a part of its request
	}
	c.used = time.Now()
	return c
}

// forgetUnused makes room for a consumer.
func (f *Pull) forgetUnused() {
	if f.consumers == nil {
		f.consumers = map[string]*consumer{}
	}
	if len(f.consumers) < store.MaxDestinations {
		return
	}
	var oldest string
	for name, c := range f.consumers {
		if had := f.consumers[oldest]; had == nil || c.used.Before(had.used) {
			oldest = name
		}
	}
	delete(f.consumers, oldest)
}

// places are the places from which a client without a consumer reads.
func (f pulled) places(ctx context.Context, p *protocol.FeedReadParams) (map[int]store.Cursor, error) {
	cursors := make(map[int]store.Cursor, f.Partitions())
	for _, place := range p.After {
		partition, cursor, err := f.place(place)
		if err != nil {
			return nil, errPlace
		}
		cursors[partition] = cursor
	}
	for partition := range f.Partitions() {
		var err error
		switch _, named := cursors[partition]; {
		case named:
		case !p.Since.IsZero():
			cursors[partition], err = f.Since(ctx, partition, p.Since)
		default:
			cursors[partition], err = f.End(ctx, partition)
		}
		if err != nil {
			return nil, err
		}
	}
	return cursors, nil
}

// place reads a place on the wire: the partition, a colon, and the cursor.
func (f pulled) place(text string) (partition int, cursor store.Cursor, err error) {
	number, rest, found := strings.Cut(text, ":")
	partition, err = strconv.Atoi(number)
	if err != nil || !found || partition < 0 || partition >= f.Partitions() {
		return 0, "", store.ErrCursor
	}
	cursor, err = store.ParseCursor(rest)
	return partition, cursor, err
}

func placeOf(partition int, c store.Cursor) string { return strconv.Itoa(partition) + ":" + string(c) }

// placesOf are the places behind an answer, by partition.
func placesOf(cursors map[int]store.Cursor) []string {
	places := make([]string, 0, len(cursors))
	for partition := range len(cursors) {
		places = append(places, placeOf(partition, cursors[partition]))
	}
	return places
}

// reader gathers events from all partitions.
type reader struct {
	pulled

	limit   int
	cursors map[int]store.Cursor
	began   map[int]store.Cursor
	events  []protocol.FeedEvent
	raw     []ticket.Event // of events
	bytes   int
}

// readOrWait reads, and waits for events if there are none.
func (r *reader) readOrWait(ctx context.Context, p *protocol.FeedReadParams) error {
	waiting := ctx
	if deadline, bounded := ctx.Deadline(); bounded || p.Wait > 0 {
		wait := p.Wait
		if bounded {
			wait = min(wait, time.Until(deadline)-waitMargin)
		}
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, wait)
		defer cancel()
	}
	for {
		r.began = maps.Clone(r.cursors)
		if err := r.read(ctx); err != nil || len(r.events) > 0 {
			return err
		}
		if p.Wait == 0 || len(r.cursors) < r.Partitions() {
			return nil
		}
		after := make([]store.Cursor, len(r.cursors))
		for partition := range after {
			after[partition] = r.cursors[partition]
		}
		if err := r.Wait(waiting, after); err != nil {
			return ctx.Err() // nil where only the wait is over
		}
	}
}

// read reads a page of each partition, up to the limit.
func (r *reader) read(ctx context.Context) error {
	r.events = []protocol.FeedEvent{}
	for partition := range r.Partitions() {
		cursor, answers := r.cursors[partition]
		if !answers || len(r.events) >= r.limit {
			continue
		}
		page, err := r.Events(ctx, partition, cursor, r.limit-len(r.events))
		if err != nil {
			return err
		}
		for i := range page.Events {
			raw := r.shown(&page.Events[i])
			event := wireEvent(r.table, raw)
			event.Cursor = placeOf(partition, page.Cursors[i])
			if r.bytes += event.Bytes(); r.bytes > protocol.PageBytes && len(r.events) > 0 {
				return nil
			}
			r.events, r.raw = append(r.events, event), append(r.raw, *raw)
			r.cursors[partition] = page.Cursors[i]
		}
		if len(page.Events) == 0 {
			r.cursors[partition] = page.Next
		}
	}
	return nil
}

// shown is the event as clients get it: without the table's own time of the last change, as for the other destinations, and
// without the values of omitted fields.
func (f pulled) shown(e *ticket.Event) *ticket.Event {
	if f.table != nil {
		e = e.Untouched(f.table.UpdatedAt)
	}
	if f.Omit == nil {
		return e
	}
	return omitted(e, f.Omit())
}

// deliver counts the delivery of the first event to a consumer. An event that was delivered too often becomes a letter.
func (f pulled) deliver(ctx context.Context, p *protocol.FeedReadParams, r *reader) error {
	if len(r.events) == 0 {
		for partition, c := range r.cursors { // past erased events
			if c != r.began[partition] {
				if err := f.Advance(ctx, p.Consumer, p.Token, partition, c); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for len(r.events) > 0 {
		n := f.count(p.Consumer, r.events[0].Cursor)
		if n <= maxDeliveries {
			r.events[0].Deliveries = n
			return nil
		}
		letter := store.FeedLetter{
			Event: r.raw[0], Reason: undelivered, Tries: maxDeliveries, At: time.Now(),
		}
		if err := f.refuse(ctx, p.Consumer, p.Token, r.events[0].Cursor, &letter); err != nil {
			return err
		}
		r.events, r.raw = r.events[1:], r.raw[1:]
	}
	return nil
}

// count counts that an answer to a consumer begins with the event before a place.
func (f *Pull) count(name, place string) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.consumer(name)
	if c.first != place {
		c.first, c.deliveries = place, 0
	}
	c.deliveries++
	return c.deliveries
}

// refuse keeps a letter, and moves the consumer past its event.
func (f pulled) refuse(ctx context.Context, name, token, place string, letter *store.FeedLetter) error {
	partition, cursor, err := f.place(place)
	if err != nil {
		return errCursor
	}
	if err := f.AddLetter(ctx, name, letter); err != nil {
		return err
	}
	return f.Advance(ctx, name, token, partition, cursor)
}

// FeedAck implements [daemon.Site].
func (f *Feeds) FeedAck(ctx context.Context, p *protocol.FeedAckParams) (protocol.FeedAckResult, error) {
	if !f.pulls() {
		return protocol.FeedAckResult{}, errFeedOff
	}
	from := f.pulled()
	err := from.ack(ctx, p)
	if err == nil && p.Release {
		err = from.Release(ctx, p.Consumer, p.Token)
	}
	if errors.Is(err, store.ErrNotOwner) {
		err = errToken
	}
	return protocol.FeedAckResult{}, answer(err)
}

func (f pulled) ack(ctx context.Context, p *protocol.FeedAckParams) error {
	if p.Cursor == "" {
		return nil // gives the consumer back
	}
	if is, err := f.ackLetter(ctx, p); is {
		return err
	}
	partition, cursor, err := f.place(p.Cursor)
	if err != nil {
		return errCursor
	}
	cursors, err := f.own(ctx, p.Consumer, p.Token, 0)
	if err != nil {
		return err
	}
	if p.Refused == "" {
		return f.Advance(ctx, p.Consumer, p.Token, partition, cursor)
	}
	page, err := f.Events(ctx, partition, cursors[partition], store.MaxFeedPage)
	if err != nil {
		return err
	}
	for i := range page.Events {
		if page.Cursors[i] == cursor {
			letter := store.FeedLetter{Event: *f.shown(&page.Events[i]), Reason: p.Refused, Tries: 1, At: time.Now()}
			return f.refuse(ctx, p.Consumer, p.Token, p.Cursor, &letter)
		}
	}
	return errCursor
}

// omitted is the event without the values of fields, which it names.
func omitted(e *ticket.Event, names []string) *ticket.Event {
	if len(names) == 0 {
		return e
	}
	without := *e
	of := func(f ticket.Field) bool { return slices.Contains(names, f.Name) }
	without.Fields, without.Was = nil, nil
	without.Omitted = slices.Clone(e.Omitted)
	for _, f := range e.Fields {
		if of(f) {
			without.Omitted = append(without.Omitted, f.Name)
		} else {
			without.Fields = append(without.Fields, f)
		}
	}
	for _, f := range e.Was {
		if !of(f) {
			without.Was = append(without.Was, f)
		}
	}
	return &without
}

// wireEvent is an event on the wire, with integer columns as integers.
func wireEvent(d *table.Definition, e *ticket.Event) protocol.FeedEvent {
	fields := func(of ticket.Fields) protocol.Fields {
		if d == nil {
			return of
		}
		typed := of.Own(0)
		for i := range typed {
			typed[i].Value = wireValue(d, typed[i])
		}
		return typed
	}
	return protocol.FeedEvent{
		ID: e.ID(), Kind: string(e.Kind), Ticket: int64(e.Ticket), Revision: int64(e.Revision), Previous: int64(e.Previous),
		Acknowledged: int64(e.Acknowledged), From: int64(e.From), Complete: e.Complete, At: e.At, Recorded: e.Recorded,
		By: e.By, Via: e.Via, Fields: fields(e.Fields), Was: fields(e.Was), Omitted: e.Omitted, Partition: int64(e.Partition),
		Number: int64(e.Number), First: int64(e.First), Last: int64(e.Last), Lost: int64(e.Lost), //nolint:gosec // counts of events
		Note: e.Note,
	}
}
