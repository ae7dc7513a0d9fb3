package systemdtest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const writers = 16

// report is a writer's final output.
type report struct {
	Requests int    `json:"requests"`
	Failed   int    `json:"failed"`
	Slowest  int    `json:"slowest"` // milliseconds
	Last     int    `json:"last"`    // the value that was acknowledged last
	Why      string `json:"why"`
}

// PHP writes all the time, with the client's own deadline and without a spool: no request fails, and MySQL has the last
// acknowledged values.
func (p *pkg) underWriters(t *testing.T, versions ...string) {
	rounds, err := strconv.Atoi(os.Getenv("TICKETD_TEST_ROUNDS"))
	if err != nil {
		rounds = 30
	}
	const end = "/run/writers-end"
	outputs, crowd := make([]bytes.Buffer, writers), make([]*exec.Cmd, writers)
	for i := range crowd {
		args := asWebServer("php", "/mnt/scripts/writer.php", strconv.Itoa(100+i), end)
		crowd[i] = p.command(t.Context(), args...)
		crowd[i].Stdout, crowd[i].Stderr = &outputs[i], &outputs[i]
		if err := crowd[i].Start(); err != nil {
			t.Fatal(err)
		}
	}
	begin := time.Now()
	var took time.Duration
	for round := range rounds {
		pid, at := p.show(t, "MainPID"), time.Now()
		if round%2 == 0 {
			p.run(t, "systemctl", "restart", "ticketd")
		} else {
			p.dpkg(t, versions[(round/2+1)%len(versions)])
		}
		took += time.Since(at)
		if p.show(t, "MainPID") == pid {
			t.Fatalf("round %d: it was not restarted", round)
		}
		status := p.run(t, "ticketd", "status", "--format", "json")
		if !strings.Contains(status, `"v`+p.version+`"`) {
			t.Fatalf("round %d: not version %s that answers: %s", round, p.version, status)
		}
	}
	p.write(t, end, "")
	var sum report
	for i, writer := range crowd {
		if err := writer.Wait(); err != nil {
			t.Errorf("writer %d: %v: %s", i, err, outputs[i].String())
		}
		var r report
		if err := json.Unmarshal(outputs[i].Bytes(), &r); err != nil {
			t.Fatalf("writer %d: %v: %s", i, err, outputs[i].String())
		}
		sum.Requests, sum.Failed, sum.Slowest = sum.Requests+r.Requests, sum.Failed+r.Failed, max(sum.Slowest, r.Slowest)
		if r.Why != "" {
			sum.Why = r.Why
		}
		if got := p.subject(t, strconv.Itoa(100+i)); got != strconv.Itoa(r.Last) {
			t.Errorf("ticket %d: MySQL has %q, the last acknowledged is %d", 100+i, got, r.Last)
		}
	}
	t.Logf("%d restarts and upgrades in %v (%v each): %d requests of %d writers, %d failed, the slowest took %d ms", rounds,
		time.Since(begin).Round(time.Second), (took / time.Duration(rounds)).Round(time.Millisecond), sum.Requests, writers,
		sum.Failed, sum.Slowest)
	if sum.Failed > 0 {
		t.Errorf("%d requests failed; the last: %s", sum.Failed, sum.Why)
	}
	if sum.Requests < writers*rounds {
		t.Errorf("only %d requests: that proves nothing", sum.Requests)
	}
}

// restarted waits until a process other than pid serves, and checks it.
func (p *pkg) restarted(t *testing.T, pid, value string) {
	t.Helper()
	p.await(t, "another daemon serves", func() bool {
		return p.show(t, "ActiveState") == "active" && p.show(t, "MainPID") != pid && p.show(t, "MainPID") != "0"
	})
	if got := p.subject(t, "7"); got != value {
		t.Errorf("MySQL has %q, want %q, which was acknowledged before", got, value)
	}
}

// SIGKILL: the daemon comes back by itself, with all acknowledged changes.
func (p *pkg) killed(t *testing.T) {
	pid := p.show(t, "MainPID")
	p.php(t, "spool.php", "7", "before the kill")
	begin := time.Now()
	p.run(t, "kill", "-KILL", pid)
	p.restarted(t, pid, "before the kill")
	t.Logf("back after %v", time.Since(begin).Round(time.Millisecond))
}

// quickWatchdog makes systemd wait for only two seconds. A healthy daemon satisfies the watchdog.
func (p *pkg) quickWatchdog(t *testing.T) (pid string) {
	t.Helper()
	p.write(t, "/run/systemd/system/ticketd.service.d/quick.conf", "[Service]\nWatchdogSec=2s\n")
	p.run(t, "systemctl", "daemon-reload")
	p.run(t, "systemctl", "restart", "ticketd")
	pid = p.show(t, "MainPID")
	for range 4 {
		last := p.show(t, "WatchdogTimestampMonotonic")
		p.await(t, "the daemon reports", func() bool { return p.show(t, "WatchdogTimestampMonotonic") != last })
	}
	return pid
}

// A daemon that does not run at all.
func (p *pkg) frozen(t *testing.T) {
	pid := p.quickWatchdog(t)
	p.php(t, "spool.php", "7", "before the frost")
	begin := time.Now()
	p.run(t, "kill", "-STOP", pid)
	p.restarted(t, pid, "before the frost")
	t.Logf("back after %v", time.Since(begin).Round(time.Millisecond))
	if out := p.log(t); !strings.Contains(out, "Watchdog timeout") {
		t.Errorf("it was not the watchdog: %s", out)
	}
}

// A daemon that runs but may open no more files, so that it can neither accept connections nor report. The log says what it
// was doing.
func (p *pkg) starved(t *testing.T) {
	pid := p.quickWatchdog(t)
	p.php(t, "spool.php", "7", "before it was starved")
	begin := time.Now()
	p.run(t, "setpriv", "--reuid=ticketd", "--regid=ticketd", "--init-groups", "prlimit", "--nofile=3:3", "--pid", pid)
	p.restarted(t, pid, "before it was starved")
	t.Logf("back after %v", time.Since(begin).Round(time.Millisecond))
	if log := p.log(t); !strings.Contains(log, "systemd cannot be notified") || !strings.Contains(log, "goroutine ") {
		t.Errorf("the log does not say what was wrong, and where it was: %s", log)
	}
	p.run(t, "rm", "-r", "/run/systemd/system/ticketd.service.d")
	p.run(t, "systemctl", "daemon-reload")
}

// All changes are in MySQL, and no files are left behind.
func (p *pkg) purge(t *testing.T) {
	p.php(t, "spool.php", "7", "before the purge")
	p.run(t, "dpkg", "--remove", "ticketd")
	if got := p.run(t, "mariadb", "-N", "wordpress", "-e", "SELECT subject FROM wp_support_tickets WHERE ticket_id = 7"); got !=
		"before the purge" {
		t.Errorf("MySQL has %q: removing the package did not flush", got)
	}
	p.mode(t, configFile, "root:ticketd 640")
	p.run(t, "dpkg", "--purge", "ticketd")
	p.absent(t, "/usr/bin/ticketd", "/etc/ticketd", "/var/lib/ticketd", "/var/spool/ticketd", "/run/ticketd",
		"/etc/systemd/system/multi-user.target.wants/ticketd.service", "/etc/systemd/system/sockets.target.wants/ticketd.socket",
		"/usr/share/ticketd", "/usr/lib/systemd/system/ticketd.service")
	if failed := p.run(t, "systemctl", "list-units", "--all", "--no-legend", "ticketd*"); failed != "" {
		t.Errorf("systemd still knows %s", failed)
	}
}

// Changes only in the journal outlive the package, and a new package flushes them.
func (p *pkg) purgeUnflushed(t *testing.T) {
	p.dpkg(t, p.version)
	p.write(t, configFile, config)
	p.run(t, "systemctl", "start", "ticketd")
	p.run(t, "systemctl", "stop", "redis-server")
	p.php(t, "spool.php", "7", "in the journal")
	p.run(t, "systemctl", "stop", "ticketd.socket", "ticketd.service")
	p.php(t, "spool.php", "8", "in the spool")
	out := p.run(t, "dpkg", "--purge", "ticketd")
	for _, folder := range []string{"/var/lib/ticketd/journal", "/var/spool/ticketd"} {
		if !strings.Contains(out, folder) {
			t.Errorf("the purge does not say that %s is kept:\n%s", folder, out)
		}
		p.run(t, "stat", folder)
	}
	p.run(t, "systemctl", "start", "redis-server")
	p.dpkg(t, p.version)
	p.write(t, configFile, config)
	p.run(t, "systemctl", "start", "ticketd")
	for ticket, want := range map[string]string{"7": "in the journal", "8": "in the spool"} {
		if got := p.subject(t, ticket); got != want {
			t.Errorf("ticket %s: MySQL has %q, want %q", ticket, got, want)
		}
	}
}
