package systemdtest

import (
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// Before a removal nothing in the daemon's own folder leads root elsewhere: a symbolic link under the name of the mark does not
// truncate what it points to, and a hard link does not change its owner.
func TestRemovalFollowsNoLink(t *testing.T) {
	t.Parallel()
	daemon, err := user.Lookup("nobody")
	if err != nil || os.Geteuid() != 0 {
		t.Skip("the script runs as root, and gives its rights up to another user")
	}
	script, err := os.ReadFile("../../packaging/prerm")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for above := dir; strings.Contains(above, "Test"); above = filepath.Dir(above) {
		if err := os.Chmod(above, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	state, victim, shared := filepath.Join(dir, "state"), filepath.Join(dir, "victim"), filepath.Join(dir, "shared")
	bin := filepath.Join(dir, "bin")
	for _, folder := range []string{state, filepath.Join(state, "journal"), bin} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for path, text := range map[string]string{
		victim: "root's", shared: "root's", filepath.Join(bin, "ticketd"): "#!/bin/sh\nid -un >&2\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(victim, filepath.Join(state, "nothing-waits")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(shared, filepath.Join(state, "journal", "hard")); err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(daemon.Uid)
	if err := os.Chown(state, uid, -1); err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer(
		"/var/lib/ticketd", state, "=ticketd ", "="+daemon.Uid+" ", "/run/systemd/system", "/no/such/folder",
	).Replace(string(script))
	run := func() string {
		cmd := exec.CommandContext(t.Context(), "sh", "-c", text, "prerm", "remove")
		cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := run(); !strings.Contains(out, "nobody\n") {
		t.Errorf("ticketd runs as %s, not as the daemon's user", out)
	}
	if kept, err := os.ReadFile(victim); err != nil || string(kept) != "root's" {
		t.Errorf("the file behind the link has %q, %v", kept, err)
	}
	var stat syscall.Stat_t
	if err := syscall.Stat(shared, &stat); err != nil || stat.Uid != 0 {
		t.Errorf("the file with a second name in the folder belongs to user %d, %v", stat.Uid, err)
	}
	if err := os.Remove(filepath.Join(state, "nothing-waits")); err != nil {
		t.Fatal(err)
	}
	run()
	if _, err := os.Stat(filepath.Join(state, "nothing-waits")); err != nil {
		t.Errorf("the answer is not kept: %v", err)
	}
}
