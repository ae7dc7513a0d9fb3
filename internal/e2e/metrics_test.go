package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	yaml "go.yaml.in/yaml/v2"

	"github.com/ticketd/ticketd/internal/testenv"
)

// metrics scrapes the daemon whose metrics.listen is that socket.
func metrics(t *testing.T, socket string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		},
	}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://ticketd/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("scraped %d: %v\n%s", resp.StatusCode, err, text)
	}
	return string(text)
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	socket := filepath.Join(testenv.Folder(t), "m.sock")
	r := newRig(t, rigOptions{
		redis: redis, site: "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"\n[sites.main.history]\nenabled = true",
		journal: "[metrics]\nlisten = \"unix://" + socket + "\"",
	})
	c := r.dial(t)
	for id := int64(1); id <= 3; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "open")); err != nil {
			t.Fatal(err)
		}
	}
	wants(t, metrics(t, socket), `ticketd_requests_total{code="ok",method="set",site="main"} 3`,
		`ticketd_dirty_tickets{site="main"} 3`,
		`ticketd_connections 1`, fmt.Sprintf(`ticketd_redis_up{server="unix://%s"} 1`, redis.Socket()),
		`ticketd_apply_batch_changes_count 3`,
		`ticketd_journal_entries{site="main"} 0`, `ticketd_spool_files 0`,
		fmt.Sprintf(`ticketd_mysql_server_up{server="unix(%s)"} 1`, r.proxy.Socket()),
		fmt.Sprintf(`ticketd_mysql_up{server="unix(%s)",site="main"} 1`, r.proxy.Socket()))
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	text := metrics(t, socket)
	wants(t, text, `ticketd_dirty_tickets{site="main"} 0`, `ticketd_flushed_rows_total{site="main"} 3`,
		`ticketd_flush_batch_tickets_sum 3`)
	checkNames(t, text)
	lint := exec.CommandContext(t.Context(), testenv.Command(t, "promtool", "prometheus"), "check", "metrics")
	lint.Stdin = strings.NewReader(text)
	if out, err := lint.CombinedOutput(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}

	// Unknown values are left out, not reported as zero.
	redis.Kill()
	if _, err := c.Set(t.Context(), set(1, "status", "closed")); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 5*time.Second, "the journal holds the change, and Redis is down", func() bool {
		text = metrics(t, socket)
		return strings.Contains(text, fmt.Sprintf(`ticketd_redis_up{server="unix://%s"} 0`, redis.Socket())) &&
			strings.Contains(text, `ticketd_journal_entries{site="main"} 1`)
	})
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v, want the mode of daemon.socket", info, err)
	}
}

func wants(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("the metrics lack %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

// usedName is a metric of ours in a PromQL expression.
var usedName = regexp.MustCompile(`\b(?:ticketd|go|process)_[a-z_]+\b`)

// checkNames checks that every metric named by the dashboard and the alerts exists. A histogram's parts count.
func checkNames(t *testing.T, text string) {
	t.Helper()
	var there []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			there = append(there, line[:strings.IndexAny(line, "{ ")])
		}
	}
	expressions := append(dashboardExpressions(t), alertExpressions(t)...)
	if len(expressions) < 30 {
		t.Fatalf("only %d expressions were found", len(expressions))
	}
	for _, expression := range expressions {
		names := usedName.FindAllString(expression, -1)
		if len(names) == 0 {
			t.Errorf("no metric in %s", expression)
		}
		for _, name := range names {
			if !slices.Contains(there, name) {
				t.Errorf("there is no metric %s, as in %s", name, expression)
			}
		}
	}
}

func dashboardExpressions(t *testing.T) []string {
	t.Helper()
	var dashboard struct {
		Panels []struct {
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Type  string `json:"type"`
				Query string `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal([]byte(doc(t, "monitoring/dashboard.json")), &dashboard); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all = append(all, target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if variable.Type == "query" {
			all = append(all, variable.Query)
		}
	}
	return all
}

func alertExpressions(t *testing.T) []string {
	t.Helper()
	var rules struct {
		Groups []struct {
			Rules []struct{ Expr string }
		}
	}
	if err := yaml.Unmarshal([]byte(doc(t, "monitoring/alerts.yml")), &rules); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if !strings.Contains(rule.Expr, "up{job=") { // Prometheus' own metric
				all = append(all, rule.Expr)
			}
		}
	}
	return all
}

// doc reads a file of docs/.
func doc(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
