package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/unit"
	"github.com/ticketd/ticketd/internal/testenv"
)

func (s *site) hasSaid(text string) bool {
	for _, line := range s.said {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}

// nothing checks that no configuration is there.
func (s *site) nothing(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(s.Config); err == nil {
		t.Error("a configuration is written")
	}
}

// The WordPress is shown before anything is written; where there is none, the guess of the database or the prefix is wrong.
func TestInitShowsTheWordPress(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	good := s.wp
	s.wp = strings.Replace(good, "shop_", "blog_", 1)
	_, err := s.run(t.Context(), t)
	if err == nil || !strings.Contains(err.Error(), "no WordPress in the database "+s.database+" with the table prefix blog_") {
		t.Errorf("error %v", err)
	}
	s.nothing(t)
	mariadb, _ := testenv.SharedMariaDB(t)
	var tables int
	if err := mariadb.DB(t, s.database).QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.tables WHERE "+
		"table_schema = DATABASE()").Scan(&tables); err != nil || tables != 1 {
		t.Errorf("%d tables, %v: want WordPress' own alone", tables, err)
	}
	s.wp, s.URL = good, "https://other.example.com/"
	if _, err := s.run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	if !s.hasSaid("WordPress: https://shop.example.com") || !s.hasSaid("--url names other.example.com") {
		t.Errorf("said %q", s.said)
	}
}

// What only PHP can tell ends with the smallest configuration to write by hand, which is TOML; --php reads the same file.
func TestInitWithPHP(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.wp = strings.Replace(s.wp, "define('DB_PASSWORD', '')", "function secret() { return implode( '', array() ); } class Site "+
		"{ static function set() { "+
		"define('DB_PASSWORD', secret()); } } Site::set()", 1)
	_, err := s.run(t.Context(), t)
	if err == nil {
		t.Fatal("a method's call is followed")
	}
	for _, want := range []string{
		"DB_HOST, DB_PASSWORD may be set where this command does not follow: line 4 has a call of a method", "--php has PHP itself",
		"    [sites.main]", "    dsn = 'USER:PASSWORD@unix(/run/mysqld/mysqld.sock)/", "    table_prefix = 'wp_'",
		"    allow_users = ['root']",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	s.nothing(t)
	s.PHP = "php"
	c, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	if c.Sites["main"].TablePrefix != "shop_" {
		t.Errorf("%+v", c.Sites["main"])
	}
}

// Every failure before a decision of the operator ends with a configuration to write by hand.
func TestEveryFailureEndsWithAConfiguration(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*site){
		"no WordPress":  func(s *site) { s.WordPress += "/none" },
		"no PHP":        func(s *site) { s.PHP = "no-such-php" },
		"a computed":    func(s *site) { s.wp = strings.Replace(s.wp, "''", "f()", 1) },
		"no socket":     func(s *site) { s.Places.MySQLSockets = nil },
		"a wrong login": func(s *site) { s.wp = strings.Replace(s.wp, "'root'", "'other'", 1) },
		"a prefix":      func(s *site) { s.wp = strings.Replace(s.wp, "shop_", "other_", 1) },
		"a user":        func(s *site) { s.User = "no-such-user" },
	} {
		s := newSite(t)
		if err := os.WriteFile(filepath.Join(s.WordPress, "wp-config.php"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		change(s)
		if name != "no WordPress" {
			if err := os.WriteFile(filepath.Join(s.WordPress, "wp-config.php"), []byte(s.wp), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		err := Run(t.Context(), s.Options)
		if err == nil || !strings.Contains(err.Error(), "The smallest configuration by hand, "+s.Config) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Bedrock, and Debian's package.
func TestLayouts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, path := range []string{"bedrock/web/wp-config.php", "bedrock/web/wp/wp-settings.php",
		"bedrock/config/application.php", "plain/wp-settings.php",
		"plain/wp-config.php", "debian/wp-settings.php", "debian/wp-config.php"} {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]layout{
		dir + "/bedrock":                      {dir + "/bedrock/web/wp-config.php", dir + "/bedrock/web/wp", ""},
		dir + "/bedrock/web":                  {dir + "/bedrock/web/wp-config.php", dir + "/bedrock/web/wp", ""},
		dir + "/bedrock/web/wp":               {dir + "/bedrock/web/wp-config.php", dir + "/bedrock/web/wp", ""},
		dir + "/plain":                        {dir + "/plain/wp-config.php", dir + "/plain", ""},
		dir + "/plain/wp-config.php":          {dir + "/plain/wp-config.php", dir + "/plain", ""},
		"/etc/wordpress/config-a.example.php": {dir + "/debian/wp-config.php", dir + "/debian", "a.example"},
		"/etc/wordpress/config-default.php":   {dir + "/debian/wp-config.php", dir + "/debian", "default"},
	} {
		if got, err := locate(path, dir+"/debian"); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", path, got, err, want)
		}
	}
	s := newSite(t)
	s.WordPress = dir + "/bedrock"
	if err := os.WriteFile(dir+"/bedrock/web/wp-config.php", []byte("<?php require_once dirname( __DIR__ ) . "+
		"'/vendor/autoload.php';"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Run(t.Context(), s.Options); err == nil || !strings.Contains(err.Error(), "This is Bedrock") {
		t.Errorf("error %v", err)
	}
}

// Init says which of the sockets that it has used the service does not see.
func TestInitLooksAsTheService(t *testing.T) {
	t.Parallel()
	view := unit.Parse("LoadState=loaded\nPrivateTmp=yes\n")
	s := newSite(t)
	s.Unit = &view
	if _, err := s.run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	hidden := strings.HasPrefix(s.Places.MySQLSockets[1], "/tmp/")
	if s.hasSaid("PrivateTmp=yes") != hidden {
		t.Errorf("said %q", s.said)
	}
}

// The password of a Redis that --redis names comes from a file.
func TestInitTakesARedisPassword(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{Password: "hunter2"})
	s := newSite(t)
	s.Redis = "unix://" + redis.Socket()
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(),
		"--redis-password-file FILE gives the password") {
		t.Errorf("error %v", err)
	}
	s.RedisPasswordFile = filepath.Join(filepath.Dir(s.Config), "password")
	if err := os.WriteFile(s.RedisPasswordFile, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := s.run(t.Context(), t)
	if err != nil || c.Redis.Password.Reveal() != "hunter2" {
		t.Errorf("%+v, %v", c, err)
	}
}
