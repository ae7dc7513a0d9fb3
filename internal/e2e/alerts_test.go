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
	"github.com/ticketd/ticketd/protocol"
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

// A real Prometheus with the shipped rules, but for their waiting times, says what is wrong while no client uses the sites, and
// no longer when that is over; a fault of what three hosts share is one alert as on one host.
func TestAlertsOfIdleSites(t *testing.T) {
	t.Parallel()
	for name, hosts := range map[string]int{"one host": 1, "three hosts": 3} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testAlerts(t, hosts)
		})
	}
}

func testAlerts(t *testing.T, hosts int) {
	f := newTruth(t)
	db := f.mariadb.DB(t, "site0")
	db.SetMaxIdleConns(0) // no connection is left that the server's end would break
	alter(t, &rig{db: db}, "ADD CONSTRAINT no_forbidden CHECK (priority <> 'forbidden')")
	daemons, sockets, addresses := make([]*testenv.Ticketd, hosts), make([]string, hosts), make([]string, hosts)
	for i := range hosts {
		dir := testenv.Folder(t)
		sockets[i], addresses[i] = filepath.Join(dir, "d.sock"), freeAddress(t)
		config := strings.Replace(f.config, "unix://"+f.metrics, addresses[i], 1)
		daemons[i] = testenv.NewTicketd(t, testenv.TicketdOptions{
			Config: strings.ReplaceAll(config, filepath.Dir(f.socket), dir) + "[journal]\nmax_entries = 10\n",
		})
	}
	c, err := protocol.Dial(t.Context(), sockets[0])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	c.Site = "site0"
	p := newPrometheus(t, addresses...)
	p.fires(t)
	priorities(t, c, "forbidden")
	p.fires(t, "TicketdDeadLetters")
	if _, err := c.DeadDrop(t.Context(), []int64{1}); err != nil {
		t.Fatal(err)
	}
	p.fires(t)
	f.mariadb.Kill()
	p.fires(t, "TicketdMySQLDown")
	f.redis.Kill()
	p.fires(t, "TicketdMySQLDown", "TicketdRedisDown")
	priorities(t, c, slices.Repeat([]string{"low"}, 8)...)
	p.fires(t, "TicketdJournalNearlyFull", "TicketdMySQLDown", "TicketdRedisDown")
	if err := f.mariadb.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.fires(t)
	daemons[0].Kill()
	p.fires(t, "TicketdDown")
}

// freeAddress is an address of this host without a listener.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return l.Addr().String()
}

// prometheus is a real one that scrapes daemons five times a second.
type prometheus struct {
	address string
	hosts   int
}

var waits = regexp.MustCompile(`(?m)^        for: .*\n`)

func newPrometheus(t *testing.T, daemons ...string) *prometheus {
	t.Helper()
	dir := testenv.Folder(t)
	writeFile(t, filepath.Join(dir, "alerts.yml"), waits.ReplaceAllString(doc(t, "monitoring/alerts.yml"), ""))
	writeFile(t, filepath.Join(dir, "prometheus.yml"), fmt.Sprintf("global: {scrape_interval: 200ms, scrape_timeout: 200ms, "+
		"evaluation_interval: 200ms}\nrule_files: [alerts.yml]\nscrape_configs:\n- {job_name: ticketd, static_configs: "+
		"[{targets: [%s]}]}\n", strings.Join(daemons, ", ")))
	p := &prometheus{address: freeAddress(t), hosts: len(daemons)}
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

// fires waits until exactly these alerts fire, of those that page, and of dead letters.
func (p *prometheus) fires(t *testing.T, want ...string) {
	t.Helper()
	testenv.Eventually(t, 30*time.Second, fmt.Sprintf("these alerts fire: %v", want), func() bool {
		got, scraped := p.alerts(t)
		return scraped && slices.Equal(got, want)
	})
}

// alerts are the names of those alerts that fire, in order; scraped says whether Prometheus has asked all daemons.
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
		if a.Labels["severity"] == "page" || a.Labels["alertname"] == "TicketdDeadLetters" {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return names, len(up.Data.Result) == p.hosts
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
