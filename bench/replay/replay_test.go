package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/bench/incidents"
	"github.com/ticketd/ticketd/internal/testenv"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// A log of three tickets goes through PHP-FPM and the plugin into MySQL.
func TestReplay(t *testing.T) {
	t.Parallel()
	file := filepath.Join(testenv.Folder(t), "log.csv")
	if err := os.WriteFile(file, []byte(tinyLog()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	o := options{file: file, workers: 2, plugin: filepath.Join("..", "..", "php-client", "ticketd")}
	if err := replay(t.Context(), &o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range []string{"updates sent *9 in", "updates failed *0\n", "rows exactly as the last line says *3\n"} {
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// tinyLog has three tickets with three updates each, in turn; the last lines have unknown values that earlier lines know.
func tinyLog() string {
	var text strings.Builder
	text.WriteString("number,incident_state,category,priority,assigned_to,caller_id,opened_at,sys_updated_at,u_symptom," +
		strings.Join(incidents.Extra, ",") + "\n")
	for u, state := range []string{"New", "Active", "Closed"} {
		for ticket := 1; ticket <= 3; ticket++ {
			resolver, location := fmt.Sprintf("Resolver %d", u+1), fmt.Sprintf("Location %d", ticket)
			if state == "Closed" {
				resolver, location = "?", "?"
			}
			fmt.Fprintf(&text, "INC%07d,%s,Category %d,3 - Moderate,%s,Caller 7,29-02-2016 01:16,29-02-2016 0%d:00,",
				ticket, state, u, resolver, u+1)
			fmt.Fprintf(&text, "Symptom %d,Phone,%s%s\n", ticket, location, strings.Repeat(",?", len(incidents.Extra)-2))
		}
	}
	return text.String()
}

// Each difference between a row and the ticket's last update is reported and fails the replay.
func TestDifferencesFail(t *testing.T) {
	t.Parallel()
	text := func(s string) *string { return &s }
	last := map[int64]incidents.Update{
		1: {Ticket: 1, Fields: map[string]*string{"status": text("Closed"), "category": nil}},
	}
	for _, c := range []struct {
		name   string
		id     int64
		row    map[string]*string
		failed int
		want   string
	}{
		{"the same", 1, map[string]*string{"status": text("Closed"), "deleted_at": nil}, 0, ""},
		{"another value", 1, map[string]*string{"status": text("New")}, 0, `ticket 1: status is "New", want "Closed"`},
		{"NULL instead of a value", 1, nil, 0, `status is NULL, want "Closed"`},
		{"a value instead of NULL", 1, map[string]*string{"status": text("Closed"), "category": text("")}, 0, `is "", want NULL`},
		{"a column of no line", 1, map[string]*string{"status": text("Closed"), "x": text("y")}, 0, `x is "y", want NULL`},
		{"a ticket of no line", 2, nil, 0, "ticket 2: no such ticket"},
		{"a failed update", 1, map[string]*string{"status": text("Closed")}, 1, "1 updates failed"},
	} {
		r := &result{tickets: 1, rows: 1}
		r.note(c.id, c.row, last)
		s := sent{updates: 1, failed: c.failed, took: time.Second}
		err := r.print(&bytes.Buffer{}, &s)
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.name, err, c.want)
		}
	}
	missing := &result{tickets: 2, rows: 1, exact: 1}
	if err := missing.print(&bytes.Buffer{}, &sent{took: time.Second}); err == nil {
		t.Error("a ticket that is not in MySQL passes")
	}
	dead := &result{tickets: 1, rows: 1, exact: 1, dead: 1}
	if err := dead.print(&bytes.Buffer{}, &sent{took: time.Second}); err == nil {
		t.Error("a dead letter passes")
	}
}

// Every update of a ticket goes to the same worker, in the log's order.
func TestDealKeepsTheOrder(t *testing.T) {
	t.Parallel()
	updates := make([]incidents.Update, 60)
	for i := range updates {
		step := strconv.Itoa(i)
		updates[i] = incidents.Update{Ticket: int64(i%7 + 1), Fields: map[string]*string{"step": &step}}
	}
	queues := make([]chan incidents.Update, 3)
	for i := range queues {
		queues[i] = make(chan incidents.Update, len(updates))
	}
	deal(t.Context(), updates, queues, 0)
	owner, last, total := map[int64]int{}, map[int64]int{}, 0
	for w, q := range queues {
		for u := range q {
			var step int
			if _, err := fmt.Sscan(*u.Fields["step"], &step); err != nil {
				t.Fatal(err)
			}
			if other, seen := owner[u.Ticket]; seen && (other != w || last[u.Ticket] >= step) {
				t.Errorf("update %d of ticket %d: worker %d after %d, behind update %d", step, u.Ticket, w, other, last[u.Ticket])
			}
			owner[u.Ticket], last[u.Ticket] = w, step
			total++
		}
	}
	if total != len(updates) {
		t.Errorf("%d updates dealt, want %d", total, len(updates))
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		nil, {"log.csv"},
		{"--file", "x", "--workers", "0"}, {"--file", "x", "--workers", "65"}, {"--file", "x", "--rate", "-1"},
		{"--file", filepath.Join("no", "such.csv")},
	} {
		if err := Run(t.Context(), args, &bytes.Buffer{}); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
