package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// The history of a ticket shows each acknowledged change at once, under the names that the commands give.
func TestHistory(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "[sites.main.history]\nenabled = true\nomit = [\"customer_email\"]\n"})
	c := r.dial(t)
	made, err := c.Create(t.Context(), []protocol.Field{
		{Name: "subject", Value: protocol.Text("Printer")}, {Name: "customer_email", Value: protocol.Text("a@b.example")},
	}, "")
	if err != nil {
		t.Fatal(err)
	}
	mustSet(t, c, made.ID, "assigned_to", "3")
	mustSet(t, c, made.ID, "status", "pending")
	mustSet(t, c, made.ID, "status", "pending") // changes nothing
	history, err := c.History(t.Context(), protocol.HistoryParams{ID: made.ID})
	if err != nil || history.Stale || len(history.Changes) != 3 {
		t.Fatalf("history %+v, %v", history, err)
	}
	newest, second := &history.Changes[0], &history.Changes[1]
	if v := newest.Values[0]; v.Name != "status" || v.Values[0].Text() != "open" || v.Values[1].Text() != "pending" {
		t.Errorf("newest change %+v", newest)
	}
	if v := second.Values[0]; v.Name != "assigned_to" || !v.Values[0].IsNull() || !v.Values[1].IsInt() || v.Values[1].Int() != 3 {
		t.Errorf("second change %+v, want NULL and a number", second)
	}
	omitted := func(v protocol.FieldChange) bool { return v.Name == "customer_email" && len(v.Values) == 0 }
	if first := &history.Changes[2]; first.Kind != "created" || !slices.ContainsFunc(first.Values, omitted) {
		t.Errorf("first change %+v, want an omitted value", first)
	}
	if page, err := c.History(t.Context(), protocol.HistoryParams{ID: made.ID, Before: newest.Revision, Limit: 1}); err != nil ||
		len(page.Changes) != 1 || page.Changes[0].Revision != second.Revision || page.Next != second.Revision {
		t.Errorf("page %+v, %v", page, err)
	}
	historyByCommands(t, r, made.ID)
	if n, err := c.EraseHistory(t.Context(), []int64{made.ID}); err != nil || n != 3 {
		t.Errorf("erased %d, %v", n, err)
	}
	history, err = c.History(t.Context(), protocol.HistoryParams{ID: made.ID})
	if err != nil || len(history.Changes) != 3 || !history.Changes[0].Erased || len(history.Changes[0].Values) != 0 {
		t.Errorf("history %+v, %v", history, err)
	}
}

func historyByCommands(t *testing.T, r *rig, id int64) {
	t.Helper()
	out, err := r.run(t, "history", strconv.FormatInt(id, 10), "--field", "status")
	if err != nil || !strings.Contains(out, "status: open → pending") || strings.Contains(out, "assigned_to") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = r.run(t, "history", strconv.FormatInt(id, 10), "--json", "--limit", "1")
	var change map[string]any
	if err != nil || json.Unmarshal([]byte(out), &change) != nil || change["kind"] != "updated" {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := r.run(t, "feed"); err != nil || !strings.Contains(out, "history  history  up") {
		t.Errorf("%v\n%s", err, out)
	}
}

// While MySQL is away the history is marked stale or unavailable, writes go on, and the history is complete afterwards.
func TestHistoryAfterAnOutageOfMySQL(t *testing.T) {
	t.Parallel()
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{})
	r := newRig(t, rigOptions{mariadb: server, site: "[sites.main.history]\nenabled = true\n"})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "s0")
	if history, err := c.History(t.Context(), protocol.HistoryParams{ID: 1}); err != nil || len(history.Changes) != 1 {
		t.Fatalf("history %+v, %v", history, err)
	}
	server.Kill()
	for n := range 50 {
		mustSet(t, c, 1, "status", fmt.Sprint("s", n+1))
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, "the history is complete", func() bool {
		history, err := c.History(t.Context(), protocol.HistoryParams{ID: 1, Limit: 100})
		return err == nil && len(history.Changes) == 51
	})
}

// hook is a receiver of webhooks that keeps the events.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	events []map[string]any
	status int
}

func newHook(t *testing.T) *hook {
	t.Helper()
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var event map[string]any
		if err != nil || json.Unmarshal(body, &event) != nil || req.Header.Get("Webhook-Signature") == "" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if w.WriteHeader(h.status); h.status == http.StatusOK {
			h.events = append(h.events, event)
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// types are the types of the events, in order.
func (h *hook) types() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	types := make([]string, len(h.events))
	for i, e := range h.events {
		name, _ := e["type"].(string)
		types[i] = name[strings.LastIndex(name, ".")+1:]
	}
	return types
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) section(name, more string) string {
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	return fmt.Sprintf("[sites.main.feeds.%s]\nkind = \"webhook\"\nurl = %q\nsecret = %q\n%s\n", name, h.URL, secret, more)
}

// A destination gets every change of every host, survives an outage, is operated by commands, and comes and goes by a reload.
func TestFeedToAWebhook(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	r := newRig(t, rigOptions{site: "[sites.main.feed]\nkeep = \"1h\"\n" + h.section("crm", "")})
	c := r.dial(t)
	other := r.second(t).dial(t)
	arrived := func(n int) func() bool { return func() bool { return len(h.types()) >= n } }
	mustSet(t, c, 1, "status", "s1")
	mustSet(t, other, 1, "status", "s2")
	testenv.Eventually(t, 10*time.Second, "both changes are published", arrived(2))
	h.answer(http.StatusServiceUnavailable)
	mustSet(t, c, 1, "status", "s3")
	testenv.Eventually(t, 10*time.Second, "the destination is seen to fail", func() bool {
		out, err := r.run(t, "feed")
		return err == nil && (strings.Contains(out, "retrying") || strings.Contains(out, "elsewhere"))
	})
	h.answer(http.StatusOK)
	testenv.Eventually(t, 10*time.Second, "the change is published after the outage", arrived(3))
	for _, args := range [][]string{{"feed", "test", "crm"}, {"feed", "pause", "crm"}} {
		if out, err := r.run(t, args...); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	testenv.Eventually(t, 10*time.Second, "the test event has arrived", arrived(4))
	mustSet(t, c, 1, "status", "s4")
	mustSet(t, c, 2, "status", "s1")
	if out, err := r.run(t, "feed"); err != nil || !strings.Contains(out, "stopped") && !strings.Contains(out, "elsewhere") {
		t.Errorf("%v\n%s", err, out)
	}
	if got := h.types(); !slices.Equal(got, []string{"updated", "updated", "updated", "test"}) {
		t.Errorf("events %v", got)
	}
	if out, err := r.run(t, "feed", "resume", "crm"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testenv.Eventually(t, 20*time.Second, "the changes during the pause are published", arrived(6))
	if out, err := r.run(t, "feed", "rewind", "crm", "--to", "1h"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	testenv.Eventually(t, 20*time.Second, "all changes are published again", arrived(11))
	if out, err := r.run(t, "feed", "pause", "mail"); err == nil || !strings.Contains(out, "no such destination") {
		t.Errorf("%v\n%s", err, out)
	}
}

// A reload applies destinations and the history without a restart.
func TestDestinationsAreReloaded(t *testing.T) {
	t.Parallel()
	h := newHook(t)
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	mustSet(t, c, 1, "status", "before")
	if _, err := c.History(t.Context(), protocol.HistoryParams{ID: 1}); err == nil {
		t.Error("a site without a history shows one")
	}
	changed := r.text + "[sites.main.history]\nenabled = true\n" + h.section("crm", "not_via = [\"import\"]")
	if err := r.WriteConfig(changed); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the feed is on", func() bool {
		status, err := c.FeedStatus(t.Context())
		return err == nil && status.Enabled && len(status.Destinations) == 2
	})
	mustSet(t, c, 1, "status", "after")
	testenv.Eventually(t, 10*time.Second, "the change is published", func() bool { return len(h.types()) == 1 })
	if history, err := c.History(t.Context(), protocol.HistoryParams{ID: 1}); err != nil || len(history.Changes) != 1 {
		t.Errorf("history %+v, %v", history, err)
	}
}
