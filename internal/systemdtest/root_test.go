package systemdtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// debian is a Debian: what debootstrap puts there, and what apt-get then adds, which knows alternatives.
type debian struct{ suite, base, more string }

// need skips the test if it cannot run, and says what is missing; variable is what the target of make sets.
func need(t *testing.T, variable, target string) {
	t.Helper()
	if os.Getenv(variable) == "" {
		t.Skipf("'make %s' runs this: it boots a Debian in a container and takes minutes", target)
	}
	if os.Geteuid() != 0 {
		t.Skip("only root can boot a container")
	}
	for program, from := range map[string]string{
		"debootstrap": "debootstrap", "systemd-nspawn": "systemd-container", "nsenter": "util-linux", "dpkg-deb": "dpkg",
	} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s: apt-get install %s", program, from)
		}
	}
}

// root returns a Debian root, made once and kept in the user's cache: making it takes a minute or more and needs Debian's
// mirror. The containers write to their own layer above it.
func root(t *testing.T, d debian) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/var/cache"
	}
	sum := sha256.Sum256([]byte(d.suite + d.base + d.more))
	final := filepath.Join(cache, "ticketd-testenv", "systemd-"+hex.EncodeToString(sum[:8]))
	if err := os.MkdirAll(filepath.Dir(final), 0o700); err != nil {
		t.Fatal(err)
	}
	lock, err := os.OpenFile(final+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(final); !errors.Is(err, fs.ErrNotExist) {
		return final
	}
	t.Logf("making a Debian root in %s, once", final)
	draft := final + ".draft"
	if err := os.RemoveAll(draft); err != nil { // of a run that was cut off
		t.Fatal(err)
	}
	steps := [][]string{{"debootstrap", "--variant=minbase", "--include=" + d.base, d.suite, draft}}
	if d.more != "" {
		install := []string{"chroot", draft, "apt-get", "-qq", "-y", "install", "--no-install-recommends"}
		steps = append(steps, append(install, strings.Split(d.more, ",")...))
	}
	for _, step := range steps {
		cmd := exec.CommandContext(t.Context(), step[0], step[1:]...)
		cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}
		if out, err := cmd.CombinedOutput(); err != nil {
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			t.Skipf("%s could not make a %s root (%v): %s", step[0], d.suite, err, lines[len(lines)-1])
		}
	}
	if err := os.Rename(draft, final); err != nil {
		t.Fatal(err)
	}
	return final
}

// build makes the package in the given versions and returns their folder.
func build(t *testing.T, versions ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, version := range versions {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := exec.CommandContext(ctx, "packaging/build.sh", arch(t))
		cmd.Dir = "../.."
		cmd.Env = append(os.Environ(), "VERSION=v"+version, "DIST="+dir, "PACKAGERS=deb")
		out, err := cmd.CombinedOutput()
		cancel()
		if err != nil {
			t.Fatalf("packaging/build.sh: %v\n%s", err, out)
		}
	}
	return dir
}

func arch(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "dpkg", "--print-architecture").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}
