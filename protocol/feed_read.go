package protocol

import (
	"context"
	"strings"
	"time"
)

// FeedReadParams are the parameters of feed_read. A consumer's place in the feed is kept under the consumer's name; without a
// consumer the client keeps its place itself, as the Next of the answer before.
type FeedReadParams struct {
	Target
	Timed
	// Consumer names a consumer, and Token the runner that reads for the consumer: one runner at a time. Both or neither.
	Consumer, Token string
	// Lease is how long a runner may be silent before another runner gets the consumer; 0 is [DefaultFeedLease].
	Lease time.Duration
	// After are the places behind which to read. Without After, Since and a consumer, reading begins with the next change.
	After []string
	// Since begins at a time.
	Since time.Time
	// Limit is 1 to [MaxTickets]; 0 stands for [DefaultFeedLimit].
	Limit int
	// Wait is how long to wait for an event, within the time-out.
	Wait time.Duration
}

// FeedReadResult is the result of feed_read.
type FeedReadResult struct {
	Events []FeedEvent
	// Busy says that another runner reads for the consumer.
	Busy bool
	// Next are the places behind the answer, for a client without a consumer.
	Next []string
}

// FeedEvent is an event of the feed; see docs/feed.md.
type FeedEvent struct {
	ID, Kind                                         string
	Ticket, Revision, Previous, Acknowledged, From   int64
	Complete                                         bool
	At, Recorded                                     time.Time
	By, Via                                          string
	Fields, Was                                      Fields
	Omitted                                          []string
	Partition, Number, First, Last, Lost, Deliveries int64
	Note                                             string
	// Cursor is the place behind the event.
	Cursor string
}

// FeedAckParams are the parameters of feed_ack.
type FeedAckParams struct {
	Target
	Timed
	Consumer, Token string
	// Cursor is that of the last event which the consumer has; empty only with Release.
	Cursor string
	// Refused, if not empty, says why the consumer will never take the event at Cursor: the event becomes a letter.
	Refused string
	// Release gives the consumer back, for another runner.
	Release bool
}

// FeedAckResult is the result of feed_ack.
type FeedAckResult struct{}

// The limits of feed_read and feed_ack.
const (
	DefaultFeedLimit = 100
	DefaultFeedLease = 10 * time.Second
	MaxFeedLease     = 10 * time.Minute
	// MaxConsumer bounds the bytes of a consumer's name, MaxPlace those of a place in the feed, MaxRefused those of a reason.
	MaxConsumer = 32
	MaxPlace    = 160
	MaxRefused  = 4 << 10
	// maxPlaces bounds the places of a request: one per partition.
	maxPlaces = 64
)

// Decode implements [Params].
func (p *FeedReadParams) Decode(raw Raw) error {
	*p = FeedReadParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "consumer":
			return true, readConsumer(d, &p.Consumer)
		case "token":
			return true, d.origin(key, MaxName, &p.Token)
		case "lease_ms":
			return true, readMillis(d, key, MaxFeedLease, &p.Lease)
		case "wait_ms":
			return true, readMillis(d, key, MaxTimeout, &p.Wait)
		case "limit":
			return true, d.limit(&p.Limit)
		case "after":
			return true, readPlaces(d, &p.After)
		case "since_us":
			var us int64
			err := d.revision(key, &us)
			p.Since = time.UnixMicro(us)
			return true, err
		default:
			return false, nil
		}
	})
	if err != nil {
		return err
	}
	return p.check()
}

// check demands parameters that fit together.
func (p *FeedReadParams) check() error {
	switch {
	case (p.Consumer == "") != (p.Token == ""):
		return Invalid("token", "a consumer has a token, and a token a consumer")
	case p.Consumer != "" && (p.After != nil || !p.Since.IsZero()):
		return Invalid("after", "the place of a consumer is kept under its name: leave after and since_us out")
	case p.After != nil && !p.Since.IsZero():
		return Invalid("since_us", "name after or since_us, not the two together")
	}
	return nil
}

// Decode implements [Params].
func (p *FeedAckParams) Decode(raw Raw) error {
	*p = FeedAckParams{}
	err := params(raw, &p.Target, &p.Timed, func(d *decoder, key string) (bool, *Error) {
		switch key {
		case "consumer":
			return true, readConsumer(d, &p.Consumer)
		case "token":
			return true, d.origin(key, MaxName, &p.Token)
		case "cursor":
			return true, readPlace(d, key, &p.Cursor)
		case "refused":
			s, ok := d.str()
			if p.Refused = s; !ok || s == "" || len(s) > MaxRefused {
				return true, Invalid(key, "refused is a text of 1 to %d bytes", MaxRefused)
			}
			return true, nil
		case "release":
			return true, d.choice(key, &p.Release)
		default:
			return false, nil
		}
	})
	if err != nil {
		return err
	}
	return p.check()
}

// check demands the parameters that every acknowledgement has.
func (p *FeedAckParams) check() error {
	switch {
	case p.Consumer == "":
		return missing("consumer")
	case p.Token == "":
		return missing("token")
	case p.Cursor == "" && (!p.Release || p.Refused != ""):
		return missing("cursor")
	}
	return nil
}

func readConsumer(d *decoder, into *string) *Error {
	s, ok := d.str()
	ok = ok && s != "" && len(s) <= MaxConsumer
	for i := 0; ok && i < len(s); i++ {
		c := s[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_'
	}
	if !ok {
		return Invalid("consumer", "a consumer's name is 1 to %d of A-Z a-z 0-9 _ -", MaxConsumer)
	}
	*into = strings.Clone(s)
	return nil
}

func readMillis(d *decoder, key string, most time.Duration, into *time.Duration) *Error {
	n, ok := d.int()
	if !ok || n < 1 || n > most.Milliseconds() {
		return Invalid(key, "%s is an integer from 1 to %d", key, most.Milliseconds())
	}
	*into = time.Duration(n) * time.Millisecond
	return nil
}

func readPlace(d *decoder, key string, into *string) *Error {
	s, ok := d.str()
	if !ok || s == "" || len(s) > MaxPlace {
		return Invalid(key, "a place in the feed is a text from an earlier answer")
	}
	*into = strings.Clone(s)
	return nil
}

func readPlaces(d *decoder, into *[]string) *Error {
	n, ok := d.arrayLen()
	if !ok || n > maxPlaces {
		return Invalid("after", "after is the array next of the answer before")
	}
	*into = make([]string, n)
	for i := range *into {
		if err := readPlace(d, "after", &(*into)[i]); err != nil {
			return err
		}
	}
	return nil
}

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(t.UnixMicro(), 0)
}

func (p *FeedReadParams) encode(e *Encoder) {
	all := []optional{
		{"consumer", p.Consumer, 0}, {"token", p.Token, 0}, {"lease_ms", "", p.Lease.Milliseconds()},
		{"wait_ms", "", p.Wait.Milliseconds()}, {"limit", "", int64(p.Limit)}, {"since_us", "", micros(p.Since)},
	}
	n := given(all)
	if p.After != nil {
		n++
	}
	e.options(n, &p.Target, p.Timeout)
	e.optional(all)
	if p.After != nil {
		e.texts("after", p.After)
	}
}

func (p *FeedAckParams) encode(e *Encoder) {
	all := []optional{{"consumer", p.Consumer, 0}, {"token", p.Token, 0}, {"cursor", p.Cursor, 0}, {"refused", p.Refused, 0}}
	n := given(all)
	if p.Release {
		n++
	}
	e.options(n, &p.Target, p.Timeout)
	e.optional(all)
	if p.Release {
		e.str("release")
		e.bool(true)
	}
}

func (r *FeedReadResult) encode(e *Encoder) {
	n := 1
	for _, given := range []bool{r.Busy, r.Next != nil} {
		if given {
			n++
		}
	}
	e.mapLen(n)
	e.str("events")
	e.array(len(r.Events))
	for i := range r.Events {
		r.Events[i].encode(e)
	}
	if r.Busy {
		e.str("busy")
		e.bool(true)
	}
	if r.Next != nil {
		e.texts("next", r.Next)
	}
}

func (v *FeedEvent) encode(e *Encoder) {
	all := []optional{
		{"id", v.ID, 0}, {"kind", v.Kind, 0}, {"ticket", "", v.Ticket}, {"revision", "", v.Revision}, {"previous", "", v.Previous},
		{"acknowledged", "", v.Acknowledged}, {"from", "", v.From}, {"at_us", "", micros(v.At)},
		{"recorded_us", "", micros(v.Recorded)}, {"by", v.By, 0}, {"via", v.Via, 0}, {"partition", "", v.Partition},
		{"number", "", v.Number}, {"first", "", v.First}, {"last", "", v.Last}, {"lost", "", v.Lost}, {"note", v.Note, 0},
		{"cursor", v.Cursor, 0}, {"delivery", "", v.Deliveries},
	}
	n := given(all)
	for _, given := range []bool{v.Complete, len(v.Fields) > 0, len(v.Was) > 0, len(v.Omitted) > 0} {
		if given {
			n++
		}
	}
	e.mapLen(n)
	e.optional(all)
	if v.Complete {
		e.str("complete")
		e.bool(true)
	}
	if len(v.Fields) > 0 {
		e.str("fields")
		e.fields(v.Fields)
	}
	if len(v.Was) > 0 {
		e.str("was")
		e.fields(v.Was)
	}
	if len(v.Omitted) > 0 {
		e.texts("omitted", v.Omitted)
	}
}

// Bytes returns the most bytes that the event takes in a reply.
func (v *FeedEvent) Bytes() int {
	const numbers = 400 // the numbers and their names
	most := numbers + len(v.ID) + len(v.Kind) + len(v.By) + len(v.Via) + len(v.Note) + len(v.Cursor)
	for _, fields := range []Fields{v.Fields, v.Was} {
		m, _ := ofFields(fields)
		most += m
	}
	for _, name := range v.Omitted {
		most += len(name) + pairBytes
	}
	return most
}

// Decode implements [Result].
func (r *FeedReadResult) Decode(raw Raw) error {
	*r = FeedReadResult{}
	return result(raw, "feed_read", func(d *decoder, key string) bool {
		switch key {
		case "events":
			return list(d, MaxTickets, &r.Events, (*FeedEvent).read)
		case "busy":
			return d.flag(&r.Busy)
		case "next":
			return d.texts(&r.Next)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Events != nil })
}

func (v *FeedEvent) read(d *decoder) bool {
	numbers := map[string]*int64{
		"ticket": &v.Ticket, "revision": &v.Revision, "previous": &v.Previous, "acknowledged": &v.Acknowledged, "from": &v.From,
		"partition": &v.Partition, "number": &v.Number, "first": &v.First, "last": &v.Last, "lost": &v.Lost, "delivery": &v.Deliveries,
	}
	texts := map[string]*string{
		"id": &v.ID, "kind": &v.Kind, "by": &v.By, "via": &v.Via, "note": &v.Note, "cursor": &v.Cursor,
	}
	return d.object("event", func(key string) bool {
		if n := numbers[key]; n != nil {
			return d.count(n)
		}
		if text := texts[key]; text != nil {
			return d.text(text)
		}
		switch key {
		case "at_us":
			return d.time(&v.At)
		case "recorded_us":
			return d.time(&v.Recorded)
		case "complete":
			return d.flag(&v.Complete)
		case "fields":
			return d.ticketFields(&v.Fields)
		case "was":
			return d.ticketFields(&v.Was)
		case "omitted":
			return d.texts(&v.Omitted)
		default:
			return d.ignore()
		}
	}) == nil && v.Kind != ""
}

func (*FeedAckResult) encode(e *Encoder) { e.mapLen(0) }

// Decode implements [Result].
func (*FeedAckResult) Decode(raw Raw) error {
	return result(raw, "feed_ack", func(d *decoder, _ string) bool { return d.ignore() }, func() bool { return true })
}

// FeedRead reads events of the feed. p needs no target.
func (c *Client) FeedRead(ctx context.Context, p FeedReadParams) (FeedReadResult, error) {
	var r FeedReadResult
	p.Target = c.target()
	err := c.call(ctx, MethodFeedRead, &p, &r, nil)
	return r, err
}

// FeedAck says how far a consumer has come. p needs no target.
func (c *Client) FeedAck(ctx context.Context, p FeedAckParams) error {
	p.Target = c.target()
	return c.call(ctx, MethodFeedAck, &p, &FeedAckResult{}, nil)
}
