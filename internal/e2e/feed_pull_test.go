package e2e

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// A client reads the feed over the socket: one runner at a time, the same events until the acknowledgement, and a letter for an
// event that a consumer never acknowledges. The origin of a change is what its client says, or the peer.
func TestFeedOverTheSocket(t *testing.T) {
	t.Parallel()
	for name, without := range map[string]bool{"redis": false, "journal": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feedOverTheSocket(t, newRig(t, rigOptions{
				site: "[sites.main.feed]\nenabled = true\nomit = [\"customer_email\"]\n", noRedis: without,
			}))
		})
	}
}

func feedOverTheSocket(t *testing.T, r *rig) {
	t.Helper()
	c := r.dial(t)
	if ping, err := c.Ping(t.Context()); err != nil || !slices.Contains(ping.Features, protocol.FeatureFeed) {
		t.Fatalf("ping %+v, %v", ping, err)
	}
	read := func(token string) protocol.FeedReadResult {
		result, err := c.FeedRead(t.Context(), protocol.FeedReadParams{Consumer: "php", Token: token, Wait: time.Second})
		if err != nil {
			t.Fatal(err)
		}
		return result
	}
	read("one")
	set := func(id int64, by string, fields ...protocol.Field) {
		change := protocol.Change{By: by, Via: "test"}
		if _, err := c.Set(t.Context(), protocol.SetParams{Change: change, ID: id, Fields: fields}); err != nil {
			t.Fatal(err)
		}
	}
	status, email := protocol.Field{Name: "status", Value: protocol.Text("open")}, protocol.Field{
		Name: "customer_email", Value: protocol.Text("a@b.example"),
	}
	set(1, "user:3", status, email, protocol.Field{Name: "assigned_to", Value: protocol.Text("3")})
	set(2, "", status)
	var events []protocol.FeedEvent
	for len(events) < 2 {
		events = read("one").Events
	}
	first, second := &events[0], &events[1]
	if v, there := first.Fields.Get("assigned_to"); !there || !v.IsInt() || first.By != "user:3" || first.Via != "test" ||
		!slices.Contains(first.Omitted, "customer_email") || first.Deliveries < 1 {
		t.Errorf("first event %+v", first)
	}
	if !strings.HasPrefix(second.By, "peer:") || second.Deliveries != 0 {
		t.Errorf("second event %+v", second)
	}
	if other := read("two"); !other.Busy || len(other.Events) > 0 {
		t.Errorf("a second runner got %+v", other)
	}
	ack := func(p protocol.FeedAckParams) error {
		p.Consumer = "php"
		return c.FeedAck(t.Context(), p)
	}
	err := ack(protocol.FeedAckParams{Token: "two", Cursor: first.Cursor})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeConflict}) {
		t.Errorf("the acknowledgement of a second runner: %v", err)
	}
	if err := ack(protocol.FeedAckParams{Token: "one", Cursor: first.Cursor, Release: true}); err != nil {
		t.Fatal(err)
	}
	for n := int64(1); n <= 5; n++ {
		if again := read("two").Events; len(again) != 1 || again[0].Ticket != 2 || again[0].Deliveries != n && n > 1 {
			t.Fatalf("delivery %d: %+v", n, again)
		}
	}
	for tries := 0; len(read("two").Events) > 0; tries++ {
		if tries > 1 {
			t.Fatal("an event is delivered again and again")
		}
	}
	letters, err := c.FeedDeadList(t.Context(), "php", 0, 0)
	if err == nil && (len(letters) != 1 || letters[0].Ticket != 2) {
		t.Errorf("letters %+v", letters)
	}
	if _, err := c.FeedRead(t.Context(), protocol.FeedReadParams{Consumer: "history", Token: "x"}); err == nil {
		t.Error("a client reads as the history")
	}
	out, err := r.run(t, "feed", "tail", "--from", "1h", "--no-follow", "--ticket", "1")
	if err != nil || !strings.Contains(out, "1  updated  status open") || !strings.Contains(out, "by user:3 (test)") ||
		strings.Contains(out, "b.example") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = r.run(t, "feed", "tail", "--from", second.Cursor, "--no-follow", "--json")
	if err != nil || strings.Contains(out, `"ticket":2`) {
		t.Errorf("%v\n%s", err, out)
	}
}
