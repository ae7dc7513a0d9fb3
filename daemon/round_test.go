package daemon

import (
	"testing"
	"time"

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
