package e2e

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// withFeed is a site with a feed and a history.
const withFeed = "[sites.main.feed]\nenabled = true\n[sites.main.history]\nenabled = true"

// learns makes the plugin ask what the daemon can do, as WP-Cron does every five minutes.
func learns(t *testing.T, s *testenv.Stack) {
	t.Helper()
	out := run(t, s, `do_action( 'ticketd_watchdog' ); echo implode( ',', (array) get_option( 'ticketd_features' ) );`)
	for _, feature := range []string{"by", "feed", "history"} {
		if !slices.Contains(strings.Split(out, ","), feature) {
			t.Fatalf("the daemon's features are %s", out)
		}
	}
}

var (
	tag    = regexp.MustCompile(`<[^>]*>`)
	spaces = regexp.MustCompile(`\s+`)
	change = regexp.MustCompile(`(?s)<li><p>(.*?)(?:</ul></li>|</p></li>)`)
	ago    = regexp.MustCompile(`\d+ (?:second|min)s? ago`)
	unseen = regexp.MustCompile(`<span class="screen-reader-text">.*?</span>`)
)

// history returns the items of the history on a ticket's screen, as an agent reads them, without times.
func history(t *testing.T, agent *visitor, query string) []string {
	t.Helper()
	status, page := agent.get(t, "/wp-admin/admin.php?page=ticketd&ticket=1"+query)
	_, list, found := strings.Cut(page, `<section id="ticketd-history"`)
	if status != http.StatusOK || !found {
		t.Fatalf("the ticket's screen has no history: %d", status)
	}
	list, _, _ = strings.Cut(list, "</section>")
	var items []string
	for _, item := range change.FindAllStringSubmatch(list, -1) {
		text := ago.ReplaceAllString(tag.ReplaceAllString(unseen.ReplaceAllString(item[1], ""), " "), "")
		items = append(items, strings.TrimSpace(spaces.ReplaceAllString(html.UnescapeString(text), " ")))
	}
	return items
}

// The history of a ticket says who changed what, by whatever way: a visitor's form, an agent, REST, the command line, an import,
// another program. A save that changes nothing is no change. After erasing no value of the person is left in it.
func TestHistoryOfATicket(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Site: withFeed, Source: testenv.WordPressSource(t, testenv.Newest)})
	learns(t, s)
	run(t, s, `wp_set_current_user( 0 );
		Ticketd\WordPress\Actor::within( 'form', fn() => ticketd_create_ticket( array( 'subject' => 'A lid leaks', 'status' => 'open',
			'customer_name' => 'Ann', 'customer_email' => 'ann@example.org', 'message' => 'my secret' ) ) );`)
	agent := newVisitor(t, s)
	agent.logIn(t, "agent", "editor")
	_, page := agent.get(t, "/wp-admin/admin.php?page=ticketd&ticket=1")
	nonce := regexp.MustCompile(`name="_wpnonce" value="(\w+)"`).FindStringSubmatch(page)
	revision := regexp.MustCompile(`name="revision" value="(\d+)"`).FindStringSubmatch(page)
	if nonce == nil || revision == nil {
		t.Fatalf("the ticket has no form: %s", page)
	}
	status, body, _ := agent.post(t, "/wp-admin/admin.php?page=ticketd&ticket=1", url.Values{
		"_wpnonce": {nonce[1]}, "revision": {revision[1]}, "seen[status]": {"open"}, "fields[status]": {"pending"},
		"seen[priority]": {""}, "fields[priority]": {"high"},
	})
	if status != http.StatusFound {
		t.Fatalf("saving: %d %s", status, body)
	}
	cli(t, s, nil, 0, "set", "1", "status=closed")
	cli(t, s, nil, 0, "set", "1", "status=closed")
	cli(t, s, strings.NewReader("id,category\n1,Billing\n"), 0, "import", "csv", "-", "--overwrite")
	c, err := protocol.Dial(t.Context(), s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Set(t.Context(), set(1, "phone", "555")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"Another program phone: None → 555",
		"An import Category: None → Billing",
		"The command line Status: Pending → Closed",
		"agent Status: Open → Pending Priority: None → High",
		"A customer opened the ticket Subject: A lid leaks Status: Open",
	}
	got := history(t, agent, "")
	if len(got) != len(want) {
		t.Fatalf("the history is %q, want %q", got, want)
	}
	for i := range want {
		if !strings.HasPrefix(got[i], want[i]) {
			t.Errorf("item %d of the history is %q, want %q", i, got[i], want[i])
		}
	}
	if got := history(t, agent, "&history_field=priority"); len(got) != 1 || !strings.HasPrefix(got[0], "agent") {
		t.Errorf("the history of the priority is %q", got)
	}
	out := run(t, s, `$export = apply_filters( 'wp_privacy_personal_data_exporters', array() )['ticketd']['callback'];
		echo substr_count( wp_json_encode( $export( 'ann@example.org', 1 ) ), 'my secret' ), '|';
		$erase = apply_filters( 'wp_privacy_personal_data_erasers', array() )['ticketd']['callback'];
		echo wp_json_encode( $erase( 'ann@example.org', 1 ) );`)
	if out != `2|{"items_removed":true,"items_retained":false,"messages":[],"done":true}` {
		t.Errorf("exporting and erasing: %s", out)
	}
	testenv.Eventually(t, 10*time.Second, "the history has no value of the person's", func() bool {
		text := run(t, s, `echo wp_json_encode( ticketd_ticket_history( 1 ) );`)
		isKept := strings.Contains(text, "secret") || strings.Contains(text, "ann@example.org")
		return !isKept && strings.Contains(text, `"erased":true`)
	})
	noNotices(t, s)
}

// listens is a listener that throws, ends the process, or changes another ticket, as an event says.
const listens = `add_action( 'ticketd_feed_event', function ( $event ) {
	$line = getmypid() . ' ' . $event['ticket'] . ' ' . $event['revision'] . "\n";
	file_put_contents( ABSPATH . 'heard', $line, FILE_APPEND );
	$status = $event['fields']['status'] ?? '';
	if ( 'exit' === $status ) {
		exit( 1 );
	}
	if ( 'throw' === $status ) {
		throw new DomainException( 'The CRM is away.' );
	}
	usleep( 2000 );
} );`

// Each event reaches the listener at least once, in the order of its ticket's revisions, whoever made the change, with the
// command and WP-Cron at once. An event whose listener throws is a letter after three tries, one whose listener ends the
// process after five deliveries; the others go on. Action Scheduler gets no rows: there is nothing but the daemon's position.
func TestTheFeedReachesPHP(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Site: withFeed, MustUse: listens})
	learns(t, s)
	work := func(args ...string) { cli(t, s, nil, 0, append([]string{"feed", "work", "--once"}, args...)...) }
	work() // From now on.
	c, err := protocol.Dial(t.Context(), s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	revisions := map[string]bool{}
	become := func(id int64, status string) {
		t.Helper()
		revision, err := c.Set(t.Context(), set(id, "status", status))
		if err != nil {
			t.Fatal(err)
		}
		revisions[fmt.Sprint(id, " ", revision)] = true
	}
	for n := range int64(100) {
		become(n%7+1, fmt.Sprint("n", n))
	}
	var both sync.WaitGroup
	both.Add(2)
	go func() {
		defer both.Done()
		_, _ = s.WordPress.CLI(t.Context(), nil, "ticketd", "feed", "work", "--seconds=4")
	}()
	go func() { defer both.Done(); _, _ = s.WordPress.Run(t.Context(), `do_action( 'ticketd_feed' );`) }()
	become(8, "throw")
	both.Wait()
	become(9, "exit")
	become(1, "after")
	for range 6 {
		if _, err := s.WordPress.Run(t.Context(), `do_action( 'ticketd_feed' );`); err == nil {
			break
		}
	}
	work()

	lines := strings.Split(strings.TrimSpace(run(t, s, `echo file_get_contents( ABSPATH . 'heard' );`)), "\n")
	counts, last := map[string]int{}, map[string]string{}
	for _, line := range lines {
		part := strings.Fields(line)
		event := part[1] + " " + part[2]
		if counts[event]++; counts[event] == 1 {
			if last[part[1]] > part[2] {
				t.Errorf("ticket %s: revision %s came behind %s", part[1], part[2], last[part[1]])
			}
			last[part[1]] = part[2]
		}
	}
	for event := range revisions {
		want := 1
		switch event[0] {
		case '8':
			want = 3
		case '9':
			want = 5
		}
		if counts[event] < want {
			t.Errorf("event %s came %d times, want %d", event, counts[event], want)
		}
	}
	var feed struct {
		Destinations []struct {
			Name      string `json:"name"`
			Letters   int    `json:"letters"`
			LagEvents int    `json:"lag_events"`
		} `json:"destinations"`
	}
	out := run(t, s, `echo wp_json_encode( Ticketd\WordPress\Plugin::instance()->api()->feed_status() );`)
	if err := json.Unmarshal([]byte(out), &feed); err != nil {
		t.Fatal(err)
	}
	for _, d := range feed.Destinations {
		if d.Name == "wordpress" && d.Letters == 2 && d.LagEvents == 0 {
			return
		}
	}
	t.Errorf("the feed's state is %s", out)
}
