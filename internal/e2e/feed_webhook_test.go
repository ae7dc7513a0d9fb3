package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/webhook"
)

// hears is a listener that keeps the events of the feed in an option, and that throws where an event says so.
const hears = `add_action( 'ticketd_feed_event', function ( $event ) {
	if ( 'throw' === ( $event['fields']['status'] ?? '' ) ) {
		throw new DomainException( 'The CRM is away.' );
	}
	$heard   = get_option( 'heard', array() );
	$heard[] = array( $event['kind'], $event['ticket'], $event['revision'], $event['fields'], $event['by'] );
	update_option( 'heard', $heard, false );
} );
`

// heard returns what the listener has kept, as JSON.
func heard(t *testing.T, s *testenv.Stack) string {
	t.Helper()
	return run(t, s, `echo wp_json_encode( get_option( 'heard', array() ) );`)
}

// The daemon's webhooks reach the listeners of a WordPress that has the secret, one event or several in a request, during a
// change of secrets, too; a listener that throws is a failure with its message; another secret is refused.
func TestWebhooksReachWordPress(t *testing.T) {
	t.Parallel()
	secrets := []string{webhook.NewSecret(), webhook.NewSecret()}
	s := testenv.NewStack(t, testenv.StackOptions{
		Debug: true, TCP: true, MustUse: hears, Config: "define( 'TICKETD_FEED_SECRET', '" + secrets[1] + "' );",
	})
	publish := func(secrets []string, events ...ticket.Event) feed.Verdict {
		t.Helper()
		publisher, err := webhook.New(webhook.Config{
			URL: s.WordPress.URL() + "/index.php?rest_route=/ticketd/v1/feed", Secrets: secrets, Batch: 10,
			Encoder: cloudevent.NewEncoder("main", false, func(name string) bool { return name == "customer_id" }),
		})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = publisher.Close() }()
		return publisher.Publish(t.Context(), events)[0]
	}
	event := func(id ticket.ID, status string) ticket.Event {
		return ticket.Event{
			Kind: ticket.EventUpdated, Ticket: id, Revision: 1764000000123456, At: time.Unix(1764000000, 123456000), By: "user:3",
			Fields: ticket.Fields{
				{Name: "status", Value: ticket.Text(status)}, {Name: "customer_id", Value: ticket.Text("9007199254740993")}, {Name: "none"},
			},
		}
	}
	if got := publish(secrets, event(812, `é "<b>\`)); got.Decision != feed.Confirmed {
		t.Fatalf("one event: %v", got)
	}
	if got := publish(secrets[1:], event(9223372036854775807, "open"), event(2, "")); got.Decision != feed.Confirmed {
		t.Fatalf("two events: %v", got)
	}
	if got := publish(secrets[:1], event(3, "open")); got.Decision == feed.Confirmed || !strings.Contains(got.Err.Error(), "401") {
		t.Errorf("another secret: %v", got)
	}
	if got := publish(secrets, event(4, "throw")); got.Decision == feed.Confirmed || !strings.Contains(got.Err.Error(), "500") {
		t.Errorf("a listener that throws: %v, %s", got, got.Answer)
	}
	const fields = `,1764000000123456,{"customer_id":"9007199254740993","none":null,"status":`
	want := `[["updated",812` + fields + `"\u00e9 \"<b>\\"},"user:3"],["updated",9223372036854775807` + fields +
		`"open"},"user:3"],["updated",2` + fields + `""},"user:3"]]`
	if got := heard(t, s); got != want {
		t.Errorf("the listener heard %s, want %s", got, want)
	}
	noNotices(t, s)
}
