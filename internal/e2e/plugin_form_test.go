package e2e

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

var formNonce = regexp.MustCompile(`name="ticketd_nonce" value="(\w+)"`)

// fill returns what a browser would send of the form on a page.
func fill(t *testing.T, v *visitor, page string, pairs ...string) url.Values {
	t.Helper()
	_, body := v.get(t, page)
	nonce := formNonce.FindStringSubmatch(body)
	if nonce == nil {
		t.Fatalf("there is no form on %s:\n%s", page, body)
	}
	form := url.Values{"ticketd_form": {"1"}, "ticketd_nonce": {nonce[1]}, "ticketd_website": {""}}
	for i := 0; i < len(pairs); i += 2 {
		form.Set(pairs[i], pairs[i+1])
	}
	return form
}

// tickets counts the tickets.
func tickets(t *testing.T, s *testenv.Stack) string {
	t.Helper()
	return run(t, s, `echo ticketd_count_tickets();`)
}

// shop stands for WooCommerce: order 77 is Ann's, any other the administrator's.
const shop = `
	class Ticketd_Test_Order {
		public $id;
		public function get_id() { return $this->id; }
		public function get_order_number() { return 'A' . $this->id; }
		public function get_customer_id() { return 77 === $this->id ? username_exists( 'ann' ) : 1; }
		public function get_view_order_url() { return home_url( '/order/' . $this->id ); }
	}
	function wc_get_order( $id ) { $order = new Ticketd_Test_Order(); $order->id = $id; return $order; }
	function wc_get_orders( $args ) {
		return username_exists( 'ann' ) === $args['customer_id'] ? array( wc_get_order( 77 ) ) : array();
	}`

// A customer ties a ticket to an own order, and to no other; the ticket links to the order, the order to the form.
func TestFormKnowsOrders(t *testing.T) {
	t.Parallel()
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, MustUse: shop})
	page := makePage(t, s, "[ticketd_form]\n\n[ticketd_my_tickets]")
	ann := newVisitor(t, s)
	ann.logIn(t, "ann", "subscriber")
	if _, body := ann.get(t, page+"?order=77"); !strings.Contains(body, `<option value="77" selected>Order A77</option>`) {
		t.Errorf("the form does not offer the order that it was opened with: %s", body)
	}
	for order, want := range map[string]string{"77": "77", "78": "none"} {
		form := fill(t, ann, page, "ticketd_subject", "order "+order, "ticketd_message", "?", "ticketd_order", order)
		if status, body, _ := ann.post(t, page, form); status != http.StatusSeeOther {
			t.Fatalf("the ticket about order %s: %d %s", order, status, body)
		}
		got := run(t, s, `$ticket = ticketd_list_tickets( array( 'where' => array( 'subject' => $argv[1] ) ) )['tickets'][0];
			echo $ticket['fields']['order_id'] ?? 'none', ' ', $ticket['id'];`, "order "+order)
		stored, id, _ := strings.Cut(got, " ")
		if stored != want {
			t.Errorf("a ticket about order %s holds %s, want %s", order, stored, want)
		}
		_, body := ann.get(t, page+"?ticketd_ticket="+id)
		if strings.Contains(body, "/order/"+order) != (want == order) {
			t.Errorf("the ticket about order %s leads to the wrong order: %s", order, body)
		}
	}
	link := run(t, s, `
		add_filter( 'ticketd_form_page', function () { return url_to_postid( home_url( '/help/' ) ); } );
		echo apply_filters( 'woocommerce_my_account_my_orders_actions', array(), wc_get_order( 77 ) )['ticketd']['url'];`)
	if !strings.HasSuffix(link, "/help/?order=77#ticketd-form") {
		t.Errorf("the order leads to %s", link)
	}
	noNotices(t, s)
}

// The form opens tickets without JavaScript, for visitors and customers; robots, forged and hasty senders get no ticket, and
// after a mistake the form keeps the typed text.
func TestFormOpensTickets(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{
			Debug: true, Source: source, Config: "define( 'TICKETD_RATE_LIMIT', 2 );\ndefine( 'TICKETD_RATE_SECONDS', 86400 );",
		})
		page := makePage(t, s, "<!-- wp:ticketd/form {\"categories\":\"Billing,Parcel\"} /-->\n\n[ticketd_my_tickets]")
		guest := newVisitor(t, s)

		form := fill(t, guest, page, "ticketd_subject", "No <b>parcel</b>", "ticketd_message", "Where is\nit?", "ticketd_name", "Ann",
			"ticketd_email", "nowhere", "ticketd_category", "Parcel")
		if status, body, _ := guest.post(t, page, form); status != http.StatusBadRequest ||
			!strings.Contains(body, "This is no e-mail address.") || !strings.Contains(body, "Where is\nit?") {
			t.Errorf("a wrong address: %d, want 400, the reason and what was typed: %s", status, body)
		}
		form.Set("ticketd_email", "ann@example.org")
		robot := url.Values{}
		for name := range form {
			robot.Set(name, form.Get(name))
		}
		robot.Set("ticketd_website", "https://example.org")
		if status, _, _ := guest.post(t, page, robot); status != http.StatusSeeOther {
			t.Errorf("a robot: %d, want to be told that all is well", status)
		}
		forged := url.Values{}
		for name := range form {
			forged.Set(name, form.Get(name))
		}
		forged.Set("ticketd_nonce", "0123456789")
		if status, body, _ := guest.post(t, page, forged); status != http.StatusForbidden ||
			!strings.Contains(body, "Please send the form again") {
			t.Errorf("a forged nonce: %d, want 403", status)
		}
		if n := tickets(t, s); n != "0" {
			t.Errorf("%s tickets came of it, want none", n)
		}

		status, _, location := guest.post(t, page, form)
		if status != http.StatusSeeOther || !strings.Contains(location, "ticketd_sent=") {
			t.Fatalf("the form: %d %s, want a redirect", status, location)
		}
		made := run(t, s, `$f = ticketd_list_tickets()['tickets'][0]['fields'];
			echo implode( '|', array( $f['subject'], $f['message'], $f['category'], $f['customer_name'],
				$f['customer_email'], $f['status'], var_export( $f['customer_id'], true ) ) );`)
		if made != "No parcel|Where is\nit?|Parcel|Ann|ann@example.org|open|NULL" {
			t.Errorf("the ticket is %q", made)
		}
		done, _, _ := strings.Cut(strings.TrimPrefix(location, s.WordPress.URL()), "#")
		if _, body := guest.get(t, done); !strings.Contains(body, `role="status"`) {
			t.Errorf("the page after the redirect does not say so: %s", body)
		}
		if status, _, _ := guest.post(t, page, form); status != http.StatusSeeOther {
			t.Errorf("the second ticket: %d", status)
		}
		if status, body, _ := guest.post(t, page, form); status != http.StatusTooManyRequests ||
			!strings.Contains(body, "Please wait a while") {
			t.Errorf("the third ticket within the time: %d, want 429", status)
		}

		// Each customer has a separate limit, also from the same address.
		ann := newVisitor(t, s)
		ann.logIn(t, "ann", "subscriber")
		form = fill(t, ann, page, "ticketd_subject", "Mine alone", "ticketd_message", "Hello", "ticketd_email", "other@example.org")
		if status, body, _ := ann.post(t, page, form); status != http.StatusSeeOther {
			t.Fatalf("the customer's ticket: %d %s", status, body)
		}
		_, mine := ann.get(t, page)
		if !strings.Contains(mine, "Mine alone") || strings.Contains(mine, "No parcel") {
			t.Errorf("the customer does not see their tickets and no others: %s", mine)
		}
		if _, body := newVisitor(t, s).get(t, page); strings.Contains(body, "Mine alone") {
			t.Errorf("a visitor sees a customer's ticket")
		}
		address := regexp.MustCompile(`href="([^"]*ticketd_ticket=\d+)"`).FindStringSubmatch(mine)
		if address == nil {
			t.Fatalf("the list leads to no ticket: %s", mine)
		}
		if _, body := ann.get(t, strings.TrimPrefix(address[1], s.WordPress.URL())); !strings.Contains(body, "<dd>Hello</dd>") {
			t.Errorf("the ticket's page does not show its message: %s", body)
		}

		// Without the daemon the ticket waits in the spool.
		s.Ticketd.Kill()
		form.Set("ticketd_subject", "In the spool")
		if status, body, _ := ann.post(t, page, form); status != http.StatusSeeOther {
			t.Errorf("the form without the daemon: %d %s", status, body)
		}
		noNotices(t, s)
	})
}
