// Package feedtest has what the tests of the feed's publishers share: events to publish, and checks of the verdicts.
package feedtest

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
)

// At is the time of the changes of [Wave].
var At = time.UnixMilli(1764000000123)

// Open opens a publisher and closes the publisher after the test.
func Open(t *testing.T, open func() (feed.Publisher, error)) feed.Publisher {
	t.Helper()
	p, err := open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// Wave is a change of each of the tickets 1 to n.
func Wave(n int, revision ticket.Revision) []ticket.Event {
	events := make([]ticket.Event, n)
	for i := range events {
		events[i] = ticket.Event{
			Kind: ticket.EventUpdated, Ticket: ticket.ID(i + 1), Revision: revision, At: At,
			Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
		}
	}
	return events
}

// WantAll checks that n events have the same verdict.
func WantAll(t *testing.T, verdicts []feed.Verdict, n int, want feed.Decision) {
	t.Helper()
	if len(verdicts) != n {
		t.Fatalf("%d verdicts about %d events", len(verdicts), n)
	}
	for i, v := range verdicts {
		if v.Decision != want || (v.Err == nil) != (want == feed.Confirmed) {
			t.Fatalf("event %d: %+v, want decision %d", i, v, want)
		}
	}
}

// WantReason checks a verdict that has a reason.
func WantReason(t *testing.T, verdict feed.Verdict, want feed.Decision, reason string) {
	t.Helper()
	if verdict.Decision != want || verdict.Err == nil || !strings.Contains(verdict.Err.Error(), reason) {
		t.Errorf("the verdict is %+v, not decision %d with %q", verdict, want, reason)
	}
}
