package daemon

import (
	"context"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/protocol"
)

// A client that waits for little time joins no round: the round's other clients would have as little.
func TestImpatientClientsJoinNoRound(t *testing.T) {
	t.Parallel()
	table := NewAccessList(1, map[string]SiteAccess{"main": {Site: hotFake{&fakeSite{}}, Users: []uint32{self.UID}}})
	r := &round{d: NewDispatcher(table, NewConnections(16), "test", 10*time.Second)}
	for _, c := range []struct {
		timeout time.Duration
		joins   bool
	}{{time.Millisecond, false}, {600 * time.Millisecond, false}, {0, true}, {5 * time.Second, true}} {
		frame := requestFrame(t, 1, protocol.MethodSet, &protocol.SetParams{
			Change: protocol.Change{Timed: protocol.Timed{Timeout: c.timeout}},
			ID:     1, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}},
		})
		if joins := r.Add(self, frame[protocol.HeaderBytes:]); joins != c.joins {
			t.Errorf("a client that waits for %v joins: %v", c.timeout, joins)
		}
	}
	if r.limit < minLimit {
		t.Errorf("the round has %v", r.limit)
	}
}

// tornBatch panics after it has taken up half of a request.
type tornBatch struct{ *fakeBatch }

func (b tornBatch) SetMany(p *protocol.SetManyParams) bool {
	b.fakeBatch.SetMany(p)
	panic("half-way")
}

type tornSite struct{ hotFake }

func (s tornSite) Hot() Hot { return tornBatch{&fakeBatch{site: s.fakeSite}} }

// A round in which an addition has failed half-way makes no change: ordinary connections make each of them once.
func TestTornRoundMakesNothing(t *testing.T) {
	t.Parallel()
	made := 0
	site := tornSite{hotFake{&fakeSite{hook: func(context.Context, int64) error { made++; return nil }}}}
	table := NewAccessList(1, map[string]SiteAccess{"main": {Site: site, Users: []uint32{self.UID}}})
	r := &round{d: NewDispatcher(table, NewConnections(16), "test", 10*time.Second), faults: zerolog.Nop()}
	many := requestFrame(t, 2, protocol.MethodSetMany, &protocol.SetManyParams{Tickets: []protocol.TicketFields{
		{ID: 1, Fields: []protocol.Field{{Name: "status", Value: protocol.Text("open")}}},
	}})
	if !r.Add(self, setFrame(t, 1)[protocol.HeaderBytes:]) || r.Add(self, many[protocol.HeaderBytes:]) {
		t.Fatal("the first request does not join, or the second does")
	}
	r.Answer(t.Context())
	if _, answered := r.Reply(0); answered || made != 0 {
		t.Errorf("answered %v, %d changes made", answered, made)
	}
}
