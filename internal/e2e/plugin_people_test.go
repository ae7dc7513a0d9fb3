package e2e

import (
	"html"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/testenv"
)

var customerCell = regexp.MustCompile(`(?s)<td class='customer_id[^']*'[^>]*>(.*?)</td>`)

// customers returns the column of customers of an agent's list.
func customers(t *testing.T, agent *visitor, query string) string {
	t.Helper()
	status, body := agent.get(t, "/wp-admin/admin.php?page=ticketd&orderby=ticket_id&order=asc"+query)
	if status != http.StatusOK {
		t.Fatalf("the list with %q: %d", query, status)
	}
	var cells []string
	for _, found := range customerCell.FindAllStringSubmatch(body, -1) {
		cells = append(cells, html.UnescapeString(found[1]))
	}
	return strings.Join(cells, ", ")
}

// A guest is a person with a name and an address, in the list, on the ticket's screen and for the search. The customer filter
// does not say whether the site knows a log-in name or an address: a user without tickets is treated like a missing user.
func TestGuestsArePeople(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Site: "strategy = \"interval\"\nperiod = \"6h\""})
	run(t, s, `
		$ann = wp_insert_user( array( 'user_login' => 'ann', 'user_pass' => 'x', 'user_email' => 'ann@example.org',
			'display_name' => 'Ann' ) );
		wp_insert_user( array( 'user_login' => 'quiet', 'user_pass' => 'x', 'user_email' => 'quiet@example.org' ) );
		ticketd_create_ticket( array( 'subject' => 'by a user', 'customer_id' => $ann ) );
		ticketd_create_ticket( array( 'subject' => 'by a guest', 'message' => "Hello,\n  the <b>lid</b> leaks.",
			'customer_name' => 'Bob <b>Quiet</b>', 'customer_email' => 'bob@example.org' ) );
		ticketd_create_ticket( array( 'subject' => 'by an address', 'customer_email' => 'quiet@example.org' ) );
		ticketd_create_ticket( array( 'subject' => 'by no one' ) );`)
	agent := newVisitor(t, s)
	agent.logIn(t, "agent", "editor")
	const bob, address = `Bob <b>Quiet</b><br /><span class="description">bob@example.org</span>`, "quiet@example.org"
	for query, want := range map[string]string{
		"":                            "Ann, " + bob + ", " + address + ", —",
		"&customer=ann":               "Ann",
		"&customer=ann%40example.org": "Ann",
		"&customer=bob%40example.org": bob,
		"&customer=bob":               bob,
		"&s=BOB%40example.org":        bob,
		// The user "quiet" has no tickets: what is found are guests of this name or address, as if there were no such user.
		"&customer=quiet":               bob,
		"&customer=quiet%40example.org": address,
		"&customer=no-one":              "",
		"&customer=bob&status=closed":   "",
	} {
		if got := customers(t, agent, query); got != want {
			t.Errorf("the list with %q shows the customers %q, want %q", query, got, want)
		}
	}
	_, page := agent.get(t, "/wp-admin/admin.php?page=ticketd&ticket=2")
	message := strings.Index(page, `<div class="ticketd-text">Hello,`+"\n"+`  the &lt;b&gt;lid&lt;/b&gt; leaks.</div>`)
	if form := strings.Index(page, `<form method="post">`); message < 0 || form < message {
		t.Errorf("the message is not before the form, with its lines: %s", page)
	}
	for _, part := range []string{`<p>Bob &lt;b&gt;Quiet&lt;/b&gt; <a href="mailto:bob@example.org">bob@example.org</a>`} {
		if !strings.Contains(page, part) {
			t.Errorf("the ticket's screen lacks %q: %s", part, page)
		}
	}
	if strings.Contains(page, "<dt>message</dt>") || strings.Contains(page, "<dt>customer_name</dt>") {
		t.Error("the message or the guest is listed again among the details")
	}
	noNotices(t, s)
}

// Who may open tickets, but not edit them, sets over REST what the form has, and no more.
func TestOpenersSetTheFormsFields(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, MustUse: shop + `
		add_filter( 'ticketd_permission', fn( $allowed, $action ) => $allowed || 'create' === $action, 10, 2 );`})
	guest, ann := newVisitor(t, s), newVisitor(t, s)
	ann.logIn(t, "ann", "subscriber")
	nonce := restNonce(t, s, "ann", ann)
	for _, step := range []struct {
		who          *visitor
		fields, want string
	}{
		{guest, `"subject":"s","message":"m","category":"c","customer_name":"Bob","customer_email":"b@example.org"`, ""},
		{guest, `"subject":"s","status":"open"`, ""},
		{guest, `"subject":"s","status":"closed"`, "status"},
		{guest, `"subject":"s","customer_id":1`, "customer_id"},
		{guest, `"subject":"s","priority":"urgent"`, "priority"},
		{guest, `"subject":"s","order_id":77`, "order_id"},
		{ann, `"subject":"s","order_id":77`, ""},
		{ann, `"subject":"s","order_id":78`, "order_id"},
		{ann, `"subject":"s","assigned_to":1`, "assigned_to"},
		{ann, `"subject":"s","customer_id":1`, "customer_id"},
		{ann, `"subject":"s","customer_email":"admin@example.org"`, "customer_email"},
	} {
		header := http.Header{"Content-Type": {"application/json"}}
		if step.who == ann {
			header.Set("X-Wp-Nonce", nonce)
		}
		status, body, _ := step.who.do(t, http.MethodPost, "/index.php?rest_route=/ticketd/v1/tickets",
			strings.NewReader(`{"fields":{`+step.fields+`}}`), header)
		refused := status == http.StatusForbidden && strings.Contains(body, "not allowed to set "+step.want+".")
		if step.want == "" && status != http.StatusCreated || step.want != "" && !refused {
			t.Errorf("%s: %d %s, want the refusal of %q", step.fields, status, body, step.want)
		}
	}
	made := run(t, s, `foreach ( ticketd_list_tickets( array( 'sort' => 'ticket_id', 'order' => 'asc' ) )['tickets'] as $ticket ) {
		echo $ticket['fields']['status'], ' ', (int) ( (int) $ticket['fields']['customer_id'] === username_exists( 'ann' ) ), ',';
	}`)
	if made != "open 0,open 0,open 1," {
		t.Errorf("the tickets have status and customer %s", made)
	}
	noNotices(t, s)
}

// The words of the daemon and the plugin agree: the statuses that agents choose from have the daemon's default close_statuses,
// and the settings page shows the defaults, those of a filter, too.
func TestWordsAndDefaultsAgree(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{
		Debug: true, MustUse: `add_filter( 'ticketd_rate_limit', fn() => 7 );`, Config: "define( 'TICKETD_RATE_SECONDS', 60 );",
	})
	statuses := strings.Split(run(t, s, `echo implode( ',', array_keys( Ticketd\WordPress\Admin\Fields::statuses() ) );`), ",")
	site := config.SiteDefaults()
	for _, status := range site.CloseStatuses {
		if !slices.Contains(statuses, status) {
			t.Errorf("agents cannot choose %q, one of the default close_statuses; they have %v", status, statuses)
		}
	}
	boss := newVisitor(t, s)
	boss.logIn(t, "boss", "administrator")
	_, page := boss.get(t, "/wp-admin/options-general.php?page=ticketd-settings")
	for _, part := range []string{
		`placeholder="1000"`, "in milliseconds. Default: 1000<", `placeholder="7"`, "Default: 7<", "Default: 900<",
		">Default: Everyone<", ">Default: Keep the tickets<", "Decided by TICKETD_RATE_SECONDS in wp-config.php.<",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the settings page lacks %q: %s", part, page)
		}
	}
	noNotices(t, s)
}
