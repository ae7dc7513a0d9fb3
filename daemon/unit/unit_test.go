package unit

import (
	"os"
	"strings"
	"testing"
)

func TestWhatTheUnitHides(t *testing.T) {
	t.Parallel()
	const shipped = "LoadState=loaded\nPrivateTmp=yes\nProtectHome=yes\nBindPaths=\nBindReadOnlyPaths=\n"
	for name, test := range map[string]struct{ properties, path, directive, dropIn string }{
		"a socket in /tmp":   {shipped, "/tmp/mysql.sock", "PrivateTmp=yes", "PrivateTmp=no"},
		"one in /var/tmp":    {shipped, "/var/tmp/x/redis.sock", "PrivateTmp=yes", "PrivateTmp=no"},
		"one in /home":       {shipped, "/home/shop/.redis/redis.sock", "ProtectHome=yes", "BindPaths=/home/shop/.redis"},
		"one in /run/user":   {shipped, "/run/user/1000/redis.sock", "ProtectHome=yes", "BindPaths=/run/user/1000"},
		"one in /run":        {shipped, "/run/mysqld/mysqld.sock", "", ""},
		"another's /tmpfile": {shipped, "/tmpfile/x", "", ""},
		"a path around":      {shipped, "/run/../tmp/x", "PrivateTmp=yes", "PrivateTmp=no"},
		"shown again":        {shipped + "BindPaths=/home/shop/r:/home/shop/r:rbind\n", "/home/shop/r/redis.sock", "", ""},
		"a drop-in":          {"LoadState=loaded\nPrivateTmp=no\nProtectHome=read-only\n", "/tmp/x", "", ""},
		"read-only":          {"LoadState=loaded\nProtectHome=read-only\n", "/home/x/y", "", ""},
		"no unit":            {"LoadState=not-found\nPrivateTmp=yes\n", "/tmp/x", "", ""},
		"no path":            {shipped, "127.0.0.1:3306", "", ""},
	} {
		v := Parse(test.properties)
		if directive, dropIn := v.Hides(test.path); directive != test.directive || dropIn != test.dropIn {
			t.Errorf("%s: %q, %q, want %q, %q", name, directive, dropIn, test.directive, test.dropIn)
		}
	}
}

// The shipped unit has the directives that the package knows.
func TestTheShippedUnit(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../systemd/ticketd.service")
	if err != nil {
		t.Fatal(err)
	}
	for _, directive := range []string{"\nPrivateTmp=yes\n", "\nProtectHome=yes\n"} {
		if !strings.Contains(string(text), directive) {
			t.Errorf("the unit has no %q", directive)
		}
	}
}
