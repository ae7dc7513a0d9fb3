package e2e

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

var hiddenInput = regexp.MustCompile(`<input type="hidden"(?: id="\w+")? name="(ticketd_\w+)" value="([^"]*)"`)

// fill returns what a browser would send of the form on a page.
func fill(t *testing.T, v *visitor, page string, pairs ...string) url.Values {
	t.Helper()
	_, body := v.get(t, page)
	form := url.Values{"ticketd_website": {""}}
	for _, found := range hiddenInput.FindAllStringSubmatch(body, -1) {
		form.Set(found[1], html.UnescapeString(found[2]))
	}
	if !form.Has("ticketd_nonce") {
		t.Fatalf("there is no form on %s:\n%s", page, body)
	}
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
	s := testenv.NewStack(t, testenv.StackOptions{Debug: true, MustUse: shop + `
		add_filter( 'ticketd_form_fields', function ( $fields ) {
			return 'too long' === $fields['subject'] ? array( 'subject' => str_repeat( 'x', 256 ) ) + $fields : $fields;
		} );`})
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
	// What the table refuses of what was typed is said beside the field.
	form := fill(t, ann, page, "ticketd_subject", "too long", "ticketd_message", "?")
	if status, body, _ := ann.post(t, page, form); status != http.StatusBadRequest ||
		!strings.Contains(body, `id="ticketd-subject-error">This text cannot be stored.`) {
		t.Errorf("a subject that the column does not take: %d %s", status, body)
	}
	if _, body := ann.get(t, page+"?ticketd_sent=abc"); !strings.Contains(body, "Thank you.<") {
		t.Errorf("a number that is none: %s", body)
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
			!strings.Contains(body, "This is no e-mail address.") ||
			!strings.Contains(html.UnescapeString(body), ">\nWhere is\nit?</textarea>") {
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
		if made != "No <b>parcel</b>|Where is\nit?|Parcel|Ann|ann@example.org|open|NULL" {
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
		if _, other := ann.get(t, "/"); !strings.Contains(mine, "assets/form.css") || strings.Contains(other, "assets/form.css") {
			t.Error("the style is not on the pages that need it, or on others")
		}
		if !strings.Contains(mine, ">Mine alone</a></td><td data-label=\"Status\">Open</td>") || strings.Contains(mine, "parcel") {
			t.Errorf("the customer does not see their tickets and no others: %s", mine)
		}
		if _, body := newVisitor(t, s).get(t, page); strings.Contains(body, "Mine alone") {
			t.Errorf("a visitor sees a customer's ticket")
		}
		address := regexp.MustCompile(`href="([^"]*ticketd_ticket=\d+)"`).FindStringSubmatch(mine)
		if address == nil {
			t.Fatalf("the list leads to no ticket: %s", mine)
		}
		if _, body := ann.get(t, strings.TrimPrefix(address[1], s.WordPress.URL())); !strings.Contains(body, `">Hello</dd>`) {
			t.Errorf("the ticket's page does not show its message: %s", body)
		}

		// Without the daemon the ticket waits in the spool.
		s.Ticketd.Kill()
		form.Set("ticketd_subject", "In the spool")
		if status, body, _ := ann.post(t, page, form); status != http.StatusSeeOther {
			t.Errorf("the form without the daemon: %d %s", status, body)
		}
		boss := newVisitor(t, s)
		boss.logIn(t, "boss", "administrator")
		_, screen := boss.get(t, "/wp-admin/admin.php?page=ticketd-status")
		if !strings.Contains(screen, "1 change is pending in the spool") {
			t.Errorf("the status screen without the daemon does not say how many changes are pending: %s", screen)
		}
		noNotices(t, s)
	})
}

// What a visitor writes is stored and shown as it is, to the agent and to the customer: what looks like a tag, an escape, an
// entity or a shortcode, and what WordPress would replace in a page's content. Control characters are no text.
func TestFormKeepsTexts(t *testing.T) {
	t.Parallel()
	eachWordPress(t, func(t *testing.T, source string) {
		s := testenv.NewStack(t, testenv.StackOptions{Debug: true, Source: source, Config: "define( 'TICKETD_RATE_LIMIT', 100 );"})
		page := makePage(t, s, "<!-- wp:ticketd/form {\"categories\":\"Billing\"} /-->\n\n<!-- wp:ticketd/my-tickets /-->")
		ann, agent := newVisitor(t, s), newVisitor(t, s)
		ann.logIn(t, "ann", "subscriber")
		agent.logIn(t, "agent", "editor")
		for _, text := range []string{
			"if (a<b && c>d)", "Bob <bob@example.org>", "100%ab off", "<VirtualHost *:80>", "&lt;b&gt; &amp; [ticketd_form]",
			`"3x4" -- it's C:\new... :) Wordpress`, "Grüße 🎉",
		} {
			message := text + "\n\n\tindented\n" + text
			form := fill(t, ann, page, "ticketd_subject", text, "ticketd_message", strings.ReplaceAll(message, "\n", "\r\n"))
			broken := url.Values{}
			for name := range form {
				broken.Set(name, form.Get(name))
			}
			broken.Set("ticketd_category", "Nothing of the kind")
			_, body, _ := ann.post(t, page, broken)
			if body = html.UnescapeString(body); !strings.Contains(body, ">\n"+message+"</textarea>") ||
				!strings.Contains(body, `value="`+text+`"`) {
				t.Errorf("after a mistake the form does not show %q as typed: %s", text, body)
			}
			status, body, location := ann.post(t, page, form)
			_, id, _ := strings.Cut(location, "ticketd_sent=")
			id, _, _ = strings.Cut(id, "#")
			if status != http.StatusSeeOther || id == "" {
				t.Fatalf("%q: %d %s", text, status, body)
			}
			stored := run(t, s, `$f = ticketd_get_ticket( (int) $argv[1] )['fields']; echo $f['subject'], '|', $f['message'];`, id)
			if stored != text+"|"+message {
				t.Errorf("stored is %q, want the subject %q and the message %q", stored, text, message)
			}
			_, body = ann.get(t, page+"?ticketd_ticket="+id)
			if body = html.UnescapeString(body); !strings.Contains(body, `">`+text+"</dd>") ||
				!strings.Contains(body, `">`+message+"</dd>") {
				t.Errorf("the customer does not see %q: %s", message, body)
			}
			_, body = agent.get(t, "/wp-admin/admin.php?page=ticketd&ticket="+id)
			raw := body
			if body = html.UnescapeString(body); !strings.Contains(body, `<div class="ticketd-text">`+message+"</div>") ||
				!strings.Contains(body, `value="`+text+`"`) {
				t.Errorf("the agent does not see %q: %s", message, body)
			}
			if strings.Contains(raw, "<VirtualHost") || strings.Contains(raw, "<bob@") {
				t.Errorf("the agent's page has the text %q as HTML", text)
			}
		}

		form := fill(t, ann, page, "ticketd_subject", "a\x1b]0;title\x07\u009b1m b", "ticketd_message", "a\x00\x1b[31m\tb\x7f\r\nc")
		if status, body, _ := ann.post(t, page, form); status != http.StatusSeeOther {
			t.Fatalf("control characters: %d %s", status, body)
		}
		made := run(t, s, `$f = ticketd_list_tickets()['tickets'][0]['fields']; echo $f['subject'], '|', $f['message'];`)
		if made != "a]0;title1m b|a[31m\tb\nc" {
			t.Errorf("the control characters became %q", made)
		}
		form.Set("ticketd_message", "not UTF-8: \xff")
		if status, body, _ := ann.post(t, page, form); status != http.StatusBadRequest || !strings.Contains(body, "UTF-8") {
			t.Errorf("bytes that are no UTF-8: %d, want 400 and the reason", status)
		}

		// A forged list of categories needs the nonce of a form that has offered it.
		form = fill(t, ann, page, "ticketd_subject", "s", "ticketd_message", "m", "ticketd_category", "Forged",
			"ticketd_categories", "Billing,Forged")
		if status, _, _ := ann.post(t, page, form); status != http.StatusForbidden {
			t.Errorf("a forged list of categories: %d, want 403", status)
		}
		form = fill(t, ann, page, "ticketd_subject", "s", "ticketd_message", "m", "ticketd_category", "Forged")
		if status, body, _ := ann.post(t, page, form); status != http.StatusBadRequest ||
			!strings.Contains(body, "choose one of these") {
			t.Errorf("a category that the form does not offer: %d, want 400", status)
		}
		noNotices(t, s)
	})
}
