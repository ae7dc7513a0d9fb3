package protocol

import (
	"errors"
	"strings"
	"testing"
)

// ReplyBytes is enough for a reply, and not far too much.
func TestReplyBytes(t *testing.T) {
	t.Parallel()
	large := &Ticket{ID: MaxTicketID, Revision: MaxRevision, Stale: true, Fields: []Field{
		{Name: strings.Repeat("n", MaxName), Value: Text(strings.Repeat("x", 1<<20))},
		{Name: "a", Value: Int(-1 << 63)}, {Name: "b", Value: Null}, {Name: "c", Value: Text("")},
	}}
	many := &GetManyResult{Tickets: []*Ticket{large, nil, large}, Stale: true}
	refused := &SetManyResult{}
	for range MaxTickets {
		failure := Invalid(strings.Repeat("f", MaxName), "%s", strings.Repeat("m", 900))
		refused.Outcomes = append(refused.Outcomes, SetOutcome{Err: failure}, SetOutcome{Revision: MaxRevision})
	}
	samples := []Result{large, many, refused, &ListResult{Tickets: []*Ticket{large}, Next: strings.Repeat("c", MaxCursor)}}
	for _, s := range sampleResults() {
		samples = append(samples, s.result)
	}
	for _, r := range samples {
		var e Encoder
		frame, err := e.Reply(MaxRequestID, r)
		if err != nil {
			t.Fatal(err)
		}
		most := ReplyBytes(r)
		if most == 0 && len(frame) < keepBytes {
			continue
		}
		if most < len(frame) || most > 2*len(frame)+1<<10 {
			t.Errorf("%T takes %d bytes, and %d were expected", r, len(frame), most)
		}
		if cap(frame) > most+HeaderBytes && cap(frame) > keepBytes*2 && cap(frame) > len(frame)*5/4 {
			t.Errorf("%T of %d bytes is built in a buffer of %d", r, len(frame), cap(frame))
		}
	}
}

// A reply that cannot fit is refused before building the frame.
func TestReplyThatCannotFitIsNotBuilt(t *testing.T) {
	t.Parallel()
	text := Text(strings.Repeat("x", 1<<20))
	many := &GetManyResult{}
	for range MaxTickets {
		many.Tickets = append(many.Tickets, &Ticket{ID: 1, Revision: 1, Fields: []Field{{Name: "a", Value: text}}})
	}
	var e Encoder
	if _, err := e.Reply(1, many); !errors.Is(err, &Error{Code: CodeTooLarge}) {
		t.Errorf("got %v, want too_large", err)
	}
	if e.buf.Cap() > keepBytes {
		t.Errorf("%d bytes were built", e.buf.Cap())
	}
}
