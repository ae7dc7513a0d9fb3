package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// The shipped rules are right, and each fault is one alert however many hosts report it (docs/monitoring/alerts_test.yml).
func TestAlertRules(t *testing.T) {
	t.Parallel()
	test := exec.CommandContext(t.Context(), testenv.Command(t, "promtool", "prometheus"), "test", "rules", "alerts_test.yml")
	test.Dir = filepath.Join("..", "..", "docs", "monitoring")
	if out, err := test.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// A real Prometheus with the shipped rules, but for their waiting times, says what is down while no client uses the site, and no
// longer when it is up again.
func TestAlertsOfAnIdleSite(t *testing.T) {
	t.Parallel()
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	f := newTruth(t)
	f.config = strings.Replace(f.config, "unix://"+f.metrics, address, 1)
	f.start(t)
	p := newPrometheus(t, address)
	p.fires(t)
	f.mariadb.Kill()
	p.fires(t, "TicketdMySQLDown")
	f.redis.Kill()
	p.fires(t, "TicketdMySQLDown", "TicketdRedisDown")
	if err := f.mariadb.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.fires(t)
	f.Kill()
	p.fires(t, "TicketdDown")
}

// prometheus is a real one that scrapes a daemon five times a second.
type prometheus struct{ address string }

var waits = regexp.MustCompile(`(?m)^        for: .*\n`)

func newPrometheus(t *testing.T, daemon string) *prometheus {
	t.Helper()
	dir := testenv.Folder(t)
	writeFile(t, filepath.Join(dir, "alerts.yml"), waits.ReplaceAllString(doc(t, "monitoring/alerts.yml"), ""))
	writeFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms, "+
		"evaluation_interval: 200ms}\nrule_files: [alerts.yml]\nscrape_configs:\n- {job_name: ticketd, static_configs: "+
		"[{targets: [%q]}]}\n", daemon))
	var listen net.ListenConfig
	l, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &prometheus{address: l.Addr().String()}
	_ = l.Close()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	run := exec.CommandContext(ctx, testenv.Command(t, "prometheus", "prometheus"),
		"--config.file="+filepath.Join(dir, "prometheus.yml"), "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+p.address)
	log := new(strings.Builder)
	run.Stderr = log
	if err := run.Start(); err != nil {
		stop()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = run.Wait()
		if t.Failed() {
			t.Log(log)
		}
	})
	return p
}

// fires waits until exactly these alerts of pages fire.
func (p *prometheus) fires(t *testing.T, want ...string) {
	t.Helper()
	testenv.Eventually(t, 30*time.Second, fmt.Sprintf("these alerts fire: %v", want), func() bool {
		got, scraped := p.alerts(t)
		return scraped && slices.Equal(got, want)
	})
}

// alerts are the names of the alerts of severity page that fire, in order; scraped says whether Prometheus has asked the daemon.
func (p *prometheus) alerts(t *testing.T) (names []string, scraped bool) {
	t.Helper()
	var alerts struct {
		Data struct {
			Alerts []struct{ Labels map[string]string }
		}
	}
	var up struct{ Data struct{ Result []any } }
	if !p.get(t, "alerts", &alerts) || !p.get(t, "query?query=up", &up) {
		return nil, false
	}
	for _, a := range alerts.Data.Alerts {
		if a.Labels["severity"] == "page" {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return names, len(up.Data.Result) > 0
}

func (p *prometheus) get(t *testing.T, path string, into any) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.address+"/api/v1/"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil { // it is starting
		return false
	}
	defer func() { _ = resp.Body.Close() }()
	return json.NewDecoder(resp.Body).Decode(into) == nil
}
