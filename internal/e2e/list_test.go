package e2e

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// strategies that would not flush within a test by themselves.
var slow = map[string]string{
	"event":    "strategy = \"event\"\nlinger = \"1m\"",
	"interval": "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"",
	"on_close": "strategy = \"on_close\"\nmax_age = \"1h\"",
}

func where(field string, values ...string) protocol.Selection {
	filter := protocol.Filter{Field: field}
	for _, v := range values {
		filter.Values = append(filter.Values, protocol.Text(v))
	}
	return protocol.Selection{Where: []protocol.Filter{filter}}
}

func idsOf(tickets []*protocol.Ticket) []int64 {
	ids := make([]int64, len(tickets))
	for i, t := range tickets {
		ids[i] = t.ID
	}
	return ids
}

// A list straight after an acknowledged write shows the write, under every strategy and also through another daemon. Without
// the flush before the query every list is stale.
func TestListShowsWhatWasWritten(t *testing.T) {
	t.Parallel()
	for name, site := range slow {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			here := newRig(t, rigOptions{site: site})
			there := here.second(t).dial(t)
			c := here.dial(t)
			made, err := c.Create(t.Context(), []protocol.Field{{Name: "status", Value: protocol.Text("open")}}, "")
			if err != nil {
				t.Fatal(err)
			}
			want := func(step string, s protocol.Selection, ids ...int64) {
				t.Helper()
				for daemon, client := range map[string]*protocol.Client{"this": c, "the other": there} {
					page, err := client.List(t.Context(), protocol.ListParams{Selection: s})
					if err != nil || !slices.Equal(idsOf(page.Tickets), ids) {
						t.Errorf("%s: %s daemon lists %v (%v), want %v", step, daemon, idsOf(page.Tickets), err, ids)
					}
					if n, err := client.Count(t.Context(), s); err != nil || n.Count != int64(len(ids)) {
						t.Errorf("%s: %s daemon counts %d (%v), want %d", step, daemon, n.Count, err, len(ids))
					}
				}
			}
			want("created", where("status", "open"), made.ID)
			if _, err := c.Set(t.Context(), set(made.ID, "status", "pending")); err != nil {
				t.Fatal(err)
			}
			want("set", where("status", "pending", "closed"), made.ID)
			want("set", where("status", "open"))
			if _, err := c.Delete(t.Context(), made.ID, ""); err != nil {
				t.Fatal(err)
			}
			want("deleted", protocol.Selection{})
			want("deleted, and asked for", protocol.Selection{Deleted: true}, made.ID)
		})
	}
}

// Pages over 1,000 tickets while other tickets are inserted: no ticket twice, and no ticket missed that existed throughout.
func TestPagesUnderInserts(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	const tickets = 1000
	var batch []protocol.TicketFields
	for id := range int64(tickets) {
		batch = append(batch, protocol.TicketFields{ID: 10 * (id + 1), Fields: []protocol.Field{
			{Name: "priority", Value: protocol.Text([]string{"low", "high", "urgent"}[id%3])},
			{Name: "updated_at", Value: protocol.Text(fmt.Sprintf("2026-11-%02d 10:00:00", id%20+1))},
		}})
	}
	if _, err := c.SetMany(t.Context(), batch, ""); err != nil {
		t.Fatal(err)
	}
	inserts, stop := r.dial(t), make(chan struct{})
	var inserting sync.WaitGroup
	inserted := int64(0)
	inserting.Go(func() {
		for ; ; inserted++ {
			select {
			case <-stop:
				return
			default:
			}
			p := set(10*(inserted*7%tickets)+inserted%9+1, "priority", []string{"high", "low"}[inserted%2]) // between the existing tickets
			p.Fields = append(p.Fields, protocol.Field{Name: "updated_at", Value: protocol.Text("2026-11-10 10:00:00")})
			if _, err := inserts.Set(t.Context(), p); err != nil {
				t.Errorf("insert: %v", err)
				return
			}
		}
	})
	for _, sort := range []protocol.Sort{protocol.SortID, protocol.SortUpdated, protocol.SortPriority} {
		seen := map[int64]int{}
		p := protocol.ListParams{Sort: sort, Ascending: sort == protocol.SortUpdated, Limit: 37}
		for {
			page, err := c.List(t.Context(), p)
			if err != nil {
				t.Fatalf("sort %s: %v", sort, err)
			}
			for _, id := range idsOf(page.Tickets) {
				seen[id]++
			}
			if p.After = page.Next; p.After == "" {
				break
			}
		}
		for id, times := range seen {
			if times != 1 && id%10 == 0 {
				t.Errorf("sort %s: ticket %d was listed %d times", sort, id, times)
			}
		}
		for id := int64(10); id <= 10*tickets; id += 10 {
			if seen[id] == 0 {
				t.Errorf("sort %s: ticket %d was missed", sort, id)
			}
		}
	}
	close(stop)
	inserting.Wait()
	t.Logf("%d tickets were written meanwhile", inserted)
}

// MySQL away: unavailable at once. Back: the list works, with the writes made meanwhile.
func TestListWithoutMySQL(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	r := newRig(t, rigOptions{mariadb: server})
	c := r.dial(t)
	server.Kill()
	if _, err := c.Set(t.Context(), set(1, "status", "open")); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	if _, err := c.List(t.Context(), protocol.ListParams{}); code(err) != protocol.CodeUnavailable {
		t.Errorf("list without MySQL: %v", err)
	}
	if took := time.Since(begin); took > quick {
		t.Errorf("it took %v to say so", took)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the list shows what was written while MySQL was away", func() bool {
		page, err := c.List(t.Context(), protocol.ListParams{})
		return err == nil && len(page.Tickets) == 1
	})
}

// A burst of readers of a ticket that only MySQL has makes a single query, as the server's own log shows.
func TestBurstOfReadersMakesOneQuery(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{Args: []string{"--log-output=TABLE"}})
	r := newRig(t, rigOptions{mariadb: server})
	insert := "INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (7, 'cold')"
	if _, err := r.db.ExecContext(t.Context(), insert); err != nil {
		t.Fatal(err)
	}
	var clients []*protocol.Client
	for range 50 {
		c := r.dial(t)
		if _, err := c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, c)
	}
	if _, err := r.db.ExecContext(t.Context(), "SET GLOBAL general_log = 1"); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	for _, c := range clients {
		reading.Go(func() {
			got, err := c.Get(t.Context(), 7)
			if err != nil || field(got.Fields, "subject").Text() != "cold" {
				t.Errorf("got %+v (%v)", got, err)
			}
		})
	}
	reading.Wait()
	var queries int
	err := r.db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM mysql.general_log WHERE command_type = 'Query'
		AND argument LIKE 'SELECT %wp_support_tickets%IN (7)%' AND argument NOT LIKE '%general_log%'`).Scan(&queries)
	if err != nil {
		t.Fatal(err)
	}
	if queries != 1 {
		t.Errorf("%d queries for 50 readers, want 1", queries)
	}
}

func TestListCommands(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: slow["interval"]})
	c := r.dial(t)
	for id, status := range []string{"open", "pending", "closed"} {
		if _, err := c.Set(t.Context(), set(int64(id+1), "status", status)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.Set(t.Context(), set(1, "subject", "two\nlines \x1b[2J")); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		args []string
		want string // a part of the output
		fail bool
	}{
		{args: []string{"list"}, want: "ID  STATUS"},
		{args: []string{"list", "--status", "open"}, want: "two lines  [2J"},
		{args: []string{"list", "--status", "open,closed", "--asc", "--limit", "1"}, want: "for more tickets: --after "},
		{args: []string{"list", "--where", "category:null", "--format", "json", "--limit", "0"}, want: `"status":"pending"`},
		{args: []string{"list", "--where", "channel=x"}, want: "channel", fail: true},
		{args: []string{"count", "--where", "category!:null", "--where", "ticket_id>=1", "--where", "ticket_id<1"}, want: "0"},
		{args: []string{"list", "--where", "ticket_id>1", "--where", "ticket_id>2"}, want: "already", fail: true},
		{args: []string{"list", "--where", "ticket_id~1"}, want: "name>=value", fail: true},
		{args: []string{"list", "--sort", "subject"}, want: "sort", fail: true},
		{args: []string{"list", "--format", "xml"}, want: "--format", fail: true},
		{args: []string{"count"}, want: "3\n"},
		{args: []string{"count", "--status", "open", "--status", "closed"}, want: "2\n"},
		{args: []string{"count", "--updated-before", "2026-01-01"}, want: "0\n"},
		{args: []string{"count", "--created-from", "soon"}, want: "created_at", fail: true},
	} {
		out, err := r.run(t, step.args...)
		if (err != nil) != step.fail || !strings.Contains(out, step.want) {
			t.Errorf("ticketd %s: %v\n%s\nwant %q in it, failed: %v",
				strings.Join(step.args, " "), err, out, step.want, step.fail)
		}
	}
}
