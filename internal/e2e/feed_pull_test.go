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
	c := feedClient{r.dial(t)}
	if ping, err := c.Ping(t.Context()); err != nil || !slices.Contains(ping.Features, protocol.FeatureFeed) {
		t.Fatalf("ping %+v, %v", ping, err)
	}
	c.read(t, "one")
	status, email := protocol.Field{Name: "status", Value: protocol.Text("open")}, protocol.Field{
		Name: "customer_email", Value: protocol.Text("a@b.example"),
	}
	c.set(t, 1, "user:3", status, email, protocol.Field{Name: "assigned_to", Value: protocol.Text("3")})
	c.set(t, 2, "", status)
	var events []protocol.FeedEvent
	for len(events) < 2 {
		events = c.read(t, "one").Events
	}
	first, second := &events[0], &events[1]
	if v, there := first.Fields.Get("assigned_to"); !there || !v.IsInt() || first.By != "user:3" || first.Via != "test" ||
		!slices.Contains(first.Omitted, "customer_email") || first.Deliveries < 1 {
		t.Errorf("first event %+v", first)
	}
	if _, touched := first.Fields.Get("updated_at"); touched {
		t.Errorf("the table's own time is told: %+v", first)
	}
	if !strings.HasPrefix(second.By, "peer:") || second.Deliveries != 0 {
		t.Errorf("second event %+v", second)
	}
	c.takeTurns(t, first)
	c.giveUp(t)
	if _, err := c.FeedRead(t.Context(), protocol.FeedReadParams{Consumer: "history", Token: "x"}); err == nil {
		t.Error("a client reads as the history")
	}
	tailFeed(t, r, second)
}

// feedClient reads as the consumer php. Its runners are one and two.
type feedClient struct{ *protocol.Client }

func (c feedClient) read(t *testing.T, token string) protocol.FeedReadResult {
	t.Helper()
	result, err := c.FeedRead(t.Context(), protocol.FeedReadParams{Consumer: "php", Token: token, Wait: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func (c feedClient) set(t *testing.T, id int64, by string, fields ...protocol.Field) {
	t.Helper()
	change := protocol.Change{By: by, Via: "test"}
	if _, err := c.Set(t.Context(), protocol.SetParams{Change: change, ID: id, Fields: fields}); err != nil {
		t.Fatal(err)
	}
}

// takeTurns demands that the second runner gets nothing before the first acknowledges its event and gives the consumer back.
func (c feedClient) takeTurns(t *testing.T, first *protocol.FeedEvent) {
	t.Helper()
	if other := c.read(t, "two"); !other.Busy || len(other.Events) > 0 {
		t.Errorf("a second runner got %+v", other)
	}
	err := c.FeedAck(t.Context(), protocol.FeedAckParams{Consumer: "php", Token: "two", Cursor: first.Cursor})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeConflict}) {
		t.Errorf("the acknowledgement of a second runner: %v", err)
	}
	err = c.FeedAck(t.Context(), protocol.FeedAckParams{Consumer: "php", Token: "one", Cursor: first.Cursor, Release: true})
	if err != nil {
		t.Fatal(err)
	}
}

// giveUp reads the event of ticket 2 without an acknowledgement, until it is a letter.
func (c feedClient) giveUp(t *testing.T) {
	t.Helper()
	for n := int64(1); n <= 5; n++ {
		if again := c.read(t, "two").Events; len(again) != 1 || again[0].Ticket != 2 || again[0].Deliveries != n && n > 1 {
			t.Fatalf("delivery %d: %+v", n, again)
		}
	}
	for tries := 0; len(c.read(t, "two").Events) > 0; tries++ {
		if tries > 1 {
			t.Fatal("an event is delivered again and again")
		}
	}
	if letters, err := c.FeedDeadList(t.Context(), "php", 0, 0); err != nil || len(letters) != 1 || letters[0].Ticket != 2 {
		t.Errorf("letters %+v, %v", letters, err)
	}
	c.sendAgain(t)
}

// sendAgain has the letter of ticket 2 delivered again: refused it is a letter again, acknowledged it is gone.
func (c feedClient) sendAgain(t *testing.T) {
	t.Helper()
	for _, refused := range []string{"no", ""} {
		if n, err := c.FeedDeadRetry(t.Context(), "php", nil); n != 1 || err != nil {
			t.Fatalf("%d letters are sent again, %v", n, err)
		}
		again := c.read(t, "two").Events
		if len(again) != 1 || again[0].Ticket != 2 || again[0].Deliveries != 1 {
			t.Fatalf("delivered again: %+v", again)
		}
		err := c.FeedAck(t.Context(), protocol.FeedAckParams{Consumer: "php", Token: "two", Cursor: again[0].Cursor, Refused: refused})
		if err != nil {
			t.Fatal(err)
		}
		letters, err := c.FeedDeadList(t.Context(), "php", 0, 0)
		if err != nil || (len(letters) == 1) != (refused != "") {
			t.Errorf("refused %q: letters %+v, %v", refused, letters, err)
		}
	}
	if n, err := c.FeedDeadRetry(t.Context(), "nobody", nil); err == nil {
		t.Errorf("%d letters of no destination", n)
	}
}

// tailFeed demands that 'ticketd feed tail' shows the first event, and nothing of the second ticket behind the second event.
func tailFeed(t *testing.T, r *rig, second *protocol.FeedEvent) {
	t.Helper()
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
