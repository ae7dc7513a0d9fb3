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

const (
	suite    = "bookworm"
	packages = "systemd,systemd-sysv,dbus,mariadb-server,redis-server,php-cli,php-msgpack"
)

// need skips the test if it cannot run, and says what is missing.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("TICKETD_TEST_SYSTEMD") == "" {
		t.Skip("'make test-systemd' runs this: it boots a Debian in a container and takes minutes")
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
func root(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/var/cache"
	}
	sum := sha256.Sum256([]byte(suite + packages))
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
	cmd := exec.CommandContext(t.Context(), "debootstrap", "--variant=minbase", "--include="+packages, suite, draft)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive"}
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(draft)
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		t.Skipf("debootstrap could not make a %s root (%v): %s", suite, err, lines[len(lines)-1])
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
