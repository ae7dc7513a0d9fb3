package boot

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/daemon/config"
)

// startedWith is the file in the state folder that tells `ticketd config check` with which settings the daemon was started: a
// digest for each key whose change a reload does not apply. The file holds no value, as some are secrets.
const startedWith = "started-with.json"

type startSettings struct {
	Salt    string            `json:"salt"`
	Digests map[string]string `json:"digests"`
}

// NeedRestart returns the keys whose values differ from those with which the daemon was started and that a reload does not apply.
// known is false if no daemon has said with which values it was started.
func NeedRestart(c *config.Config) (keys []string, known bool) {
	text, err := os.ReadFile(filepath.Join(c.Daemon.StateDir, startedWith))
	var kept startSettings
	if c.Daemon.StateDir == "" || err != nil || json.Unmarshal(text, &kept) != nil {
		return nil, false
	}
	keys = slices.DeleteFunc(differing(kept.Digests, digests(c, kept.Salt)), func(key string) bool {
		site, is := strings.CutPrefix(key, "sites.")
		site, _, _ = strings.Cut(site, ".")
		_, err := os.Stat(identityFile(c.Daemon.StateDir, site))
		return is && errors.Is(err, fs.ErrNotExist) // its table was never found: the reload corrects the site
	})
	return keys, true
}

// restartKeys returns the keys in which the configurations differ and that a reload does not apply.
func restartKeys(before, after *config.Config) []string {
	return differing(settings(before), settings(after))
}

func digests(c *config.Config, salt string) map[string]string {
	all := settings(c)
	for key, value := range all {
		sum := sha256.Sum256([]byte(salt + key + "=" + value))
		all[key] = hex.EncodeToString(sum[:])
	}
	return all
}

func differing(before, after map[string]string) []string {
	keys := make(map[string]bool)
	for key := range before {
		keys[key] = true
	}
	for key := range after {
		keys[key] = true
	}
	maps.DeleteFunc(keys, func(key string, _ bool) bool {
		a, there := before[key]
		b, is := after[key]
		return a == b && there == is || there != is && (!hasSite(before, key) || !hasSite(after, key))
	})
	return slices.Sorted(maps.Keys(keys))
}

// hasSite says whether settings have the site of a key, or the key is of no site: a reload adds and removes whole sites.
func hasSite(settings map[string]string, key string) bool {
	parts := strings.SplitN(key, ".", 3) //nolint:mnd // sites.NAME.key
	if parts[0] != "sites" || len(parts) < 2 {
		return true
	}
	for other := range settings {
		if strings.HasPrefix(other, "sites."+parts[1]+".") {
			return true
		}
	}
	return false
}

// settings are the values of a configuration by their keys, without the keys that a reload applies.
func settings(c *config.Config) map[string]string {
	all := make(map[string]string)
	flatten(reflect.ValueOf(fixed(c)), "", all)
	return all
}

func flatten(v reflect.Value, key string, into map[string]string) {
	under := func(name string) string {
		if key == "" {
			return name
		}
		return key + "." + name
	}
	switch {
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Tag.Get("toml"); name != "" && name != "-" {
				flatten(v.Field(i), under(name), into)
			}
		}
	case v.Kind() == reflect.Map && v.Type().Elem().Kind() == reflect.Struct:
		for _, name := range v.MapKeys() {
			flatten(v.MapIndex(name), under(name.String()), into)
		}
	case v.Kind() == reflect.String: // a secret shows its text to no formatter
		into[key] = v.String()
	default:
		into[key] = fmt.Sprint(v.Interface())
	}
}
