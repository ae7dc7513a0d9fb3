package systemdtest

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// machine is a booted container.
type machine struct {
	boot    *exec.Cmd
	ended   chan struct{}
	leader  string // the process id of the container's systemd
	console string // the file with the container's output
}

// launch puts itself into a new cgroup, in every hierarchy that systemd may use, and becomes the container: $1 is the
// cgroup's name, the rest is the command.
const launch = `group=$1; shift
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
	[ -e "$hierarchy/cgroup.procs" ] || continue
	mkdir -p "$hierarchy/$group" && echo $$ >"$hierarchy/$group/cgroup.procs" || exit
done
exec "$@"`

var machines atomic.Int64

// start boots a container over the root, with folders bound into its /mnt, and ends it with the test.
func start(t *testing.T, root string, binds map[string]string) *machine {
	t.Helper()
	name := fmt.Sprintf("ticketd-test-%d-%d", os.Getpid(), machines.Add(1))
	m := &machine{ended: make(chan struct{}), console: filepath.Join(t.TempDir(), "console.log")}
	args := []string{
		"-c", launch, "sh", name, "systemd-nspawn", "--quiet", "--machine=" + name, "--directory=" + root, "--boot",
		"--register=no", "--keep-unit", "--private-network", "--console=read-only", "--volatile=overlay",
	}
	for at, dir := range binds {
		args = append(args, "--bind-ro="+dir+":"+at)
	}
	log, err := os.Create(m.console)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	m.boot = exec.Command("sh", args...) //nolint:noctx // stop asks the container to end
	m.boot.Stdout, m.boot.Stderr = log, log
	m.boot.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := m.boot.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(m.ended)
		_ = m.boot.Wait()
	}()
	t.Cleanup(func() { m.stop(name) })
	m.await(t, "it has booted", func() bool {
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", m.boot.Process.Pid, m.boot.Process.Pid))
		if m.leader = strings.TrimSpace(string(children)); err != nil || m.leader == "" {
			return false
		}
		state, _ := m.try(t, "systemctl", "is-system-running")
		return state == "running" || state == "degraded"
	})
	return m
}

// stop powers the container off.
func (m *machine) stop(name string) {
	const patience = 20 * time.Second
	_ = m.boot.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
	case <-time.After(patience):
		_ = m.boot.Process.Kill()
		<-m.ended
	}
	groups, _ := filepath.Glob("/sys/fs/cgroup/*/" + name)
	for _, group := range append(groups, "/sys/fs/cgroup/"+name) {
		_ = exec.Command("find", group, "-depth", "-type", "d", "-delete").Run() //nolint:noctx // short, even after the test
	}
}

// command makes a command that runs inside.
func (m *machine) command(ctx context.Context, args ...string) *exec.Cmd {
	enter := []string{
		"-t", m.leader, "-m", "-u", "-i", "-n", "-p", "-C", "--root", "--wd=/", "env", "-i",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
	}
	return exec.CommandContext(ctx, "nsenter", append(enter, args...)...)
}

// try runs a command inside and returns the output.
func (m *machine) try(t *testing.T, args ...string) (string, error) {
	t.Helper()
	out, err := m.command(t.Context(), args...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// run is try for a command that must succeed.
func (m *machine) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := m.try(t, args...)
	if err != nil {
		journal, _ := m.try(t, "journalctl", "--no-pager", "-n", "40", "-u", "ticketd.service", "-u", "ticketd.socket")
		t.Fatalf("%s: %v\n%s\n\nthe journal:\n%s", strings.Join(args, " "), err, out, journal)
	}
	return out
}

// write makes a file inside.
func (m *machine) write(t *testing.T, path, content string) {
	t.Helper()
	cmd := m.command(t.Context(), "sh", "-c", `mkdir -p "$(dirname "$1")" && cat >"$1"`, "sh", path)
	cmd.Stdin = strings.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("writing %s: %v\n%s", path, err, out)
	}
}

// show returns a property of ticketd.service.
func (m *machine) show(t *testing.T, property string) string {
	t.Helper()
	return m.run(t, "systemctl", "show", "--property="+property, "--value", "ticketd.service")
}

// log returns the log of the daemon and of systemd about it.
func (m *machine) log(t *testing.T) string {
	t.Helper()
	return m.run(t, "journalctl", "-u", "ticketd", "--no-pager", "-q")
}

// errors is what `journalctl -p err` shows of the daemon.
func (m *machine) errors(t *testing.T) string {
	t.Helper()
	return m.run(t, "journalctl", "-p", "err", "-u", "ticketd", "--no-pager", "-q")
}

// await polls until the condition holds: the container signals nothing to the outside.
func (m *machine) await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-m.ended:
			console, _ := os.ReadFile(m.console)
			t.Fatalf("the container has ended before %s:\n%s", what, console)
		case <-ctx.Done():
			t.Fatalf("not within a minute: %s", what)
		}
	}
}
