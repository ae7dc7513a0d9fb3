package config_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	tomlsyntax "github.com/pelletier/go-toml/v2"

	"github.com/ticketd/ticketd/daemon/config"
)

// place matches the start of a mistake: the key, or the position in the file or on the command line.
var place = regexp.MustCompile(`^(daemon|log|redis|journal|metrics|sites)\b|: unknown key|` +
	`^configuration .* is not TOML|^--set`)

// FuzzLoad loads any text as a configuration, with a variable and a flag. Load refuses with a place for each mistake and
// without secrets, or returns a configuration that a second Load repeats and whose text shows no secret.
func FuzzLoad(f *testing.F) {
	for _, file := range []string{"../../docs/ticketd.toml", "../../packaging/ticketd.toml"} {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text), "", "")
	}
	for _, more := range []string{
		"", "[redis]\npassword = \"hunter2-hunter2\"\n", "[redis]\naddr = 7\npool_size = \"many\"\n",
		"[redis]\nsentinels = [\"a:1\"]\n",
		"[daemon]\nidle_timeout = 5\nsocket_mode = \"rw\"\n", "[sites.\"a.b\"]\ndsn = 1\n", "[sites]\nmain = 3\n", "redis = 1\n",
		"[sites.main.columns]\na = 1\n",
		"[journal]\nmax_bytes = 99999999999999999999\n", "[log]\nlevel = [\"x\"]\n",
		"[metrics]\nlisten = \"unix:///x\"\npprof = true\n", "[sites.main\n",
	} {
		f.Add(minimal+more, "", "")
	}
	f.Add(minimal, "REDIS_PASSWORD=hunter3-hunter3", "redis.addr=x")
	f.Add(minimal, "SITES_MAIN_DSN=hunter3-hunter3", "sites.main.batch=many")
	f.Add(minimal, "SITES_MAIN", "sites=x")
	f.Add(minimal, "SITES_OTHER_LINGER=1s", "sites.main=x")
	f.Add(minimal, "=", "redis.")
	f.Fuzz(func(t *testing.T, text, variable, flag string) {
		if strings.Contains(text+variable+flag, "/dev/") || strings.Contains(text+variable+flag, "/proc/") {
			return // Load reads the named file, which may be endless
		}
		path := filepath.Join(t.TempDir(), "ticketd.toml")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		environ, flags := []string{"TICKETD_" + variable, "HOME=/"}, []string{}
		if flag != "" {
			flags = append(flags, flag)
		}
		c, err := config.Load(path, environ, flags)
		shown := fmt.Sprintf("%v\n%+v\n%#v", err, c, c)
		for _, secret := range secrets(text) {
			if strings.Contains(shown, secret) {
				t.Errorf("the secret %q is shown: %s", secret, shown)
			}
		}
		var mistakes *config.MistakesError
		switch {
		case err == nil:
			again, err := config.Load(path, environ, flags)
			if err != nil || !reflect.DeepEqual(again, c) || len(c.Sites) == 0 {
				t.Errorf("%+v, then %+v (%v)", c, again, err)
			}
		case errors.As(err, &mistakes):
			for _, one := range mistakes.List {
				if !place.MatchString(one.Error()) {
					t.Errorf("a mistake without its place: %v", one)
				}
			}
		case !place.MatchString(err.Error()):
			t.Errorf("a mistake without its place: %v", err)
		}
	})
}

// secrets returns the secret values in a file. Short values are left out: any text may contain them by chance.
func secrets(text string) (found []string) {
	var all map[string]any
	if tomlsyntax.Unmarshal([]byte(text), &all) != nil {
		return nil
	}
	note := func(section any, keys ...string) {
		table, _ := section.(map[string]any)
		for _, key := range keys {
			if secret, _ := table[key].(string); len(secret) >= 10 && strings.Count(text, secret) == 1 {
				found = append(found, secret)
			}
		}
	}
	note(all["redis"], "password", "sentinel_password")
	sites, _ := all["sites"].(map[string]any)
	for _, site := range sites {
		note(site, "dsn")
	}
	return found
}
