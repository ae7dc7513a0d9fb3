package setup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
)

// chown gives files to a user.
func chown(t *testing.T, name string, paths ...string) uint32 {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to a user")
	}
	uid, err := config.UserID(name)
	if err != nil {
		t.Skip(err)
	}
	for _, path := range paths {
		if err := os.Chown(path, int(uid), -1); err != nil {
			t.Fatal(err)
		}
	}
	return uid
}

// open lets every user pass through the folders of a test.
func open(t *testing.T, dir string) {
	t.Helper()
	for ; strings.Contains(dir, "Test"); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// A wp-config.php is a regular file of a bounded size. Nothing else holds the command or fills its memory.
func TestOnlyRegularFilesAreRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe, long := filepath.Join(dir, "pipe"), filepath.Join(dir, "long")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(long, make([]byte, 1<<21), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, php := range []string{"", "php"} {
		for path, want := range map[string]string{
			pipe: "not a regular file", "/dev/zero": "not a regular file", long: "is longer than", dir + "/x\ny": "a control character",
			dir: "no such file",
		} {
			s := newSite(t)
			s.WordPress, s.PHP = path, php
			if err := Run(t.Context(), s.Options); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q, PHP %q: error %v, want %q", path, php, err, want)
			}
		}
	}
}

// A site's configuration gets nothing that its own user may not read, though root runs the command.
func TestConfigurationsAreReadAsTheirUser(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	secret := filepath.Join(filepath.Dir(s.Config), "secret")
	if err := os.WriteFile(secret, []byte("<?php define('DB_NAME', 'other'); define('DB_PASSWORD', 'hunter2');"),
		0o600); err != nil {
		t.Fatal(err)
	}
	uid := chown(t, "nobody", s.WordPress)
	open(t, s.WordPress)
	e, err := eyesOf(uid)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Read(secret); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the user reads the file of root: %v", err)
	}
	if text, err := (eyes{}).Read(secret); err != nil || len(text) == 0 {
		t.Errorf("root reads %q, %v: the user's rights have stayed on a thread", text, err)
	}
	s.User = "nobody"
	for _, text := range []string{
		fmt.Sprintf("<?php include '%s';\n", secret), fmt.Sprintf("<?php define('DB_USER', file_get_contents('%s'));\n", secret),
	} {
		own := *s
		own.wp = text + strings.TrimPrefix(s.wp, "<?php")
		path := filepath.Join(s.WordPress, "wp-config.php")
		if err := os.WriteFile(path, []byte(own.wp), 0o600); err != nil {
			t.Fatal(err)
		}
		chown(t, "nobody", path)
		err := Run(t.Context(), own.Options)
		if err == nil || !strings.Contains(err.Error(), "permission denied") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("error %v", err)
		}
	}
}

// Where the file is not readable for PHP's user, another user runs PHP.
func TestPHPsUserMustReadTheFile(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	chown(t, "root")
	open(t, s.WordPress)
	s.User = "nobody"
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "nobody cannot read") {
		t.Errorf("error %v", err)
	}
	s.User = "no-such-user"
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), `no user "no-such-user"`) {
		t.Errorf("error %v", err)
	}
}

// The user of the site's PHP is the one of the pool that belongs to the site's owner.
func TestTheUserIsOfThePool(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.User = ""
	pools := filepath.Join(t.TempDir(), "pool.d")
	if err := os.MkdirAll(pools, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Places.Pools = []string{filepath.Join(pools, "*.conf")}
	pool := func(name, text string) {
		if err := os.WriteFile(filepath.Join(pools, name+".conf"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pool("www", "[global]\nerror_log = x\n[www]\nuser = www-data\ngroup = www-data\n;user = root\n")
	pool("games", "[games]\nuser = $pool\nchroot = /srv/games\n")
	path := filepath.Join(s.WordPress, "wp-config.php")
	if err := os.WriteFile(path, []byte(s.wp), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, s.WordPress)
	if err := Run(t.Context(), s.Options); err == nil || !strings.Contains(err.Error(), "the users games, www-data: name the one") {
		t.Errorf("error %v", err)
	}
	chown(t, "games", path, s.WordPress)
	if err := Run(t.Context(), s.Options); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(s.Config, nil, nil)
	if err != nil || c.Sites["main"].AllowUsers[0] != "games" || c.Daemon.SocketGroup != "games" {
		t.Errorf("%+v, %v", c, err)
	}
	if !s.hasSaid("chroot = /srv/games") || !s.hasSaid("PHP runs as games") || !s.hasSaid("SocketGroup=games") {
		t.Errorf("said %q", s.said)
	}
}
