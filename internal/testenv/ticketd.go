package testenv

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// TicketdOptions say how ticketd is started.
type TicketdOptions struct {
	// Config is the text of the TOML file.
	Config string
	// Env is added to the environment, as "NAME=value".
	Env []string
	// Under is a command that runs the daemon in its own process, such as setpriv with options, or empty.
	Under []string
}

// Ticketd is a running daemon, started as by systemd: readiness comes from READY=1.
type Ticketd struct {
	process

	config string
	notify *Notifications // of the present run
}

// StartTicketd starts the binary as `ticketd serve --config FILE`, with the file, the log and the notification socket in dir,
// and the spool, too, unless the configuration names a spool: never the spool of a daemon that serves this machine.
func StartTicketd(ctx context.Context, dir, binary string, o TicketdOptions) (*Ticketd, error) {
	socket, err := socketIn(dir, "notify.sock")
	if err != nil {
		return nil, err
	}
	d := &Ticketd{config: filepath.Join(filepath.Dir(socket), "ticketd.toml")}
	if err := d.WriteConfig(o.Config); err != nil {
		return nil, err
	}
	env := []string{"NOTIFY_SOCKET=" + socket, "GORACE=atexit_sleep_ms=0"}
	if !strings.Contains(o.Config, "spool_dir") {
		env = append(env, "TICKETD_DAEMON_SPOOL_DIR="+filepath.Join(filepath.Dir(socket), "spool"))
	}
	d.command = command{
		name: "ticketd", path: binary, args: []string{"serve", "--config", d.config}, dir: dir, socket: socket,
		// The race detector sleeps a second at exit, which no test needs.
		env:    append(env, o.Env...),
		orphan: syscall.SIGKILL, ready: d.ready,
		prepare: func() (release func(), err error) {
			notify, err := ListenNotify(socket)
			if err != nil {
				return nil, err
			}
			d.notify = notify
			return func() { _ = notify.Close() }, nil
		},
	}
	if len(o.Under) > 0 {
		d.path, d.args = o.Under[0], slices.Concat(o.Under[1:], []string{binary}, d.args)
	}
	if err := d.start(ctx); err != nil {
		return nil, err
	}
	return d, nil
}

// NewTicketd builds this module's ticketd, once per test process, starts the daemon for a test and ends the daemon with the
// test.
func NewTicketd(t testing.TB, o TicketdOptions) *Ticketd {
	t.Helper()
	return NewTicketdOf(t, TicketdBinary(t), o)
}

// NewTicketdOf is [NewTicketd] with a binary that the test has built, see [BuildTicketd].
func NewTicketdOf(t testing.TB, binary string, o TicketdOptions) *Ticketd {
	t.Helper()
	d := newServer(t, "ticketd", func(ctx context.Context, dir string) (*Ticketd, error) {
		return StartTicketd(ctx, dir, binary, o)
	})
	t.Cleanup(func() {
		if strings.Contains(d.Log(), "WARNING: DATA RACE") {
			t.Error("the race detector found a data race in ticketd; see its log")
		}
	})
	return d
}

// TicketdBinary returns the path of this module's ticketd, built once per test process: with the race detector if the test
// has the race detector. The package must have [Main] as TestMain, which removes the binary.
func TicketdBinary(t testing.TB) string {
	t.Helper()
	path, err := ticketdBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var ticketdBinary = sync.OnceValues(func() (string, error) {
	dir, err := newFolder("bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "ticketd")
	return path, BuildTicketd(context.Background(), path)
})

// BuildTicketd compiles cmd/ticketd of this module to the file at path, with further flags of `go build`. The working directory
// lies in the module.
func BuildTicketd(ctx context.Context, path string, flags ...string) error {
	// Without the version control's stamp, which costs time and fails in a tree of a different user.
	args := []string{"build", "-buildvcs=false", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	args = append(append(args, flags...), "github.com/ticketd/ticketd/cmd/ticketd")
	if out, err := exec.CommandContext(ctx, "go", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("building ticketd: %w\n%s", err, out)
	}
	return nil
}

// WriteConfig replaces the configuration file for the next Reload or Restart.
func (d *Ticketd) WriteConfig(text string) error { return writeFile(d.config, text) }

// Reload asks the daemon to read the configuration again (SIGHUP) and waits for the end of the reload. The log says whether
// the daemon accepted the new configuration.
func (d *Ticketd) Reload(ctx context.Context) error {
	from := len(d.notify.Lines())
	if err := d.signal(syscall.SIGHUP, false); err != nil {
		return err
	}
	next, err := d.notify.Wait(ctx, from, "RELOADING=1")
	if err != nil {
		return fmt.Errorf("reloading ticketd: %w", err)
	}
	if _, err := d.notify.Wait(ctx, next, "READY=1"); err != nil {
		return fmt.Errorf("reloading ticketd: %w", err)
	}
	return nil
}

// Notifications are the daemon's messages to systemd since its last start.
func (d *Ticketd) Notifications() *Notifications { return d.notify }

func (d *Ticketd) ready(context.Context) error {
	if !slices.Contains(d.notify.Lines(), "READY=1") {
		return fmt.Errorf("ticketd has not sent READY=1, only %q", d.notify.Lines())
	}
	return nil
}
