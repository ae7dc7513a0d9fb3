package systemdtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// purge runs the script of a purge in a folder, and returns what it says.
func purge(t *testing.T, dir string) string {
	t.Helper()
	script, err := os.ReadFile("../../packaging/postrm")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("/var/lib/", dir+"/", "/var/spool/", dir+"/spool/", "/etc/", dir+"/etc/", "/run/systemd", "/no/such",
		"/run/ticketd", dir+"/run").Replace(string(script))
	if path := regexp.MustCompile(`[ "=]/(var|etc|run)/`).FindString(text); path != "" {
		t.Fatalf("the script would touch %s of this host", path)
	}
	out, err := exec.CommandContext(t.Context(), "sh", "-c", text, "postrm", "purge").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// A purge says which changes Redis holds that MySQL does not have, and keeps the file that names the place.
func TestPurgeNamesWhatRedisHolds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		pending bool
		want    string
	}{
		"pending": {true, `ticketd:     key_prefix "shop:", redis.db 3 at 127.0.0.1:6379`},
		"flushed": {false, "what is in Redis is left alone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			state := filepath.Join(dir, "ticketd")
			if err := os.Mkdir(state, 0o700); err != nil {
				t.Fatal(err)
			}
			type keys struct {
				Where   string `json:"where"`
				Pending bool   `json:"pending"`
			}
			text, err := json.MarshalIndent(map[string]any{ // as daemon/boot writes it
				"journals": []string{"/x"}, "keys": map[string]keys{
					"main": {"key_prefix \"\x1b\", redis.db 1 at unix:///x", false},
					"shop": {`key_prefix "shop:", redis.db 3 at 127.0.0.1:6379`, c.pending},
				},
			}, "", "  ")
			if err == nil {
				err = os.WriteFile(filepath.Join(state, "places.json"), text, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if out := purge(t, dir); !strings.Contains(out, c.want) || strings.Contains(out, "redis.db 1") {
				t.Errorf("it says %q; want %q", out, c.want)
			}
			if _, err := os.Stat(state); (err == nil) != c.pending {
				t.Errorf("the state's folder: %v", err)
			}
		})
	}
}
