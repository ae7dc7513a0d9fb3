package releasetest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// openrc has the functions of openrc-run that the script calls, and says how they are called.
const openrc = `checkpath() { echo "checkpath $*"; }
ebegin() { echo "ebegin $*"; }
eend() { echo "eend $*"; return "$1"; }
ewarn() { echo "ewarn $*"; }
need() { echo "need $*"; }
use() { :; }
after() { :; }
before() { :; }
`

// The script for OpenRC checks the configuration before each start and reload, makes the folders, and signals the daemon.
func TestOpenRC(t *testing.T) {
	t.Parallel()
	script, err := filepath.Abs("../../packaging/ticketd.openrc")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	program := filepath.Join(bin, "ticketd")
	for path, text := range map[string]string{
		program:                                "echo \"ticketd $*\" >&2\n[ ! -e \"$0.wrong\" ] || [ \"$1\" != config ]\n",
		filepath.Join(bin, "supervise-daemon"): "echo \"supervise-daemon $*\"\n",
	} {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	run := func(function string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", openrc+". \"$1\"; RC_SVCNAME=ticketd; "+function+
			" && echo \"$command $command_args as $command_user under $supervisor, $retry, $rc_ulimit\"", "sh", script)
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "TICKETD_BINARY="+program, "TICKETD_CONFIG=/etc/x.toml")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	started, err := run("start_pre")
	if err != nil {
		t.Fatalf("%v: %s", err, started)
	}
	for _, want := range []string{
		"ticketd config check --config /etc/x.toml\n", "checkpath --directory --owner ticketd:ticketd --mode 0755 /run/ticketd\n",
		"checkpath --directory --owner ticketd:ticketd --mode 0700 /var/lib/ticketd\n",
		"ticketd spool prepare --config /etc/x.toml --user ticketd\n",
		"serve --config /etc/x.toml as ticketd:ticketd under supervise-daemon, TERM/30/KILL/5, -n 131072 -c 0\n",
	} {
		if !strings.Contains(started, want) {
			t.Errorf("no %q in\n%s", want, started)
		}
	}
	if out, err := run("reload"); err != nil || !strings.Contains(out, "supervise-daemon ticketd --signal HUP\neend 0") {
		t.Errorf("reload: %v: %s", err, out)
	}
	if err := os.WriteFile(program+".wrong", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, function := range []string{"start_pre", "reload"} {
		if out, err := run(function); err == nil || strings.Contains(out, "HUP") || strings.Contains(out, "checkpath") {
			t.Errorf("%s with a wrong configuration: %v: %s", function, err, out)
		}
	}
}
