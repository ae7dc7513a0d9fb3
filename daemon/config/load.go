package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/toml/v2"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
	tomlsyntax "github.com/pelletier/go-toml/v2"
)

// Load reads the file (none where path is empty), the environment and the flags (key=value), and checks the whole. The error
// holds every mistake.
func Load(path string, environ, flags []string) (*Config, error) {
	k, err := read(path, environ, flags)
	if err != nil {
		return nil, err
	}
	c, mistakes := decode(k)
	mistakes = append(mistakes, c.readSecrets()...)
	mistakes = append(mistakes, c.validate()...)
	if len(mistakes) > 0 {
		return nil, &MistakesError{Path: path, List: mistakes}
	}
	return c, nil
}

// LoadOpen is Load without the secrets, for a command that needs none: the files that hold them may be the daemon's alone. Values are
// not checked.
func LoadOpen(path string, environ, flags []string) (*Config, error) {
	k, err := read(path, environ, flags)
	if err != nil {
		return nil, err
	}
	c, mistakes := decode(k)
	if len(mistakes) > 0 {
		return nil, &MistakesError{Path: path, List: mistakes}
	}
	return c, nil
}

// read puts the file, the environment and the flags over each other.
func read(path string, environ, flags []string) (*koanf.Koanf, error) {
	k := koanf.New(".")
	if path != "" {
		if err := loadFile(k, path); err != nil {
			return nil, err
		}
	}
	if err := loadMap(k, fromEnvironment(k, environ)); err != nil {
		return nil, err
	}
	set, err := fromFlags(flags)
	if err != nil {
		return nil, err
	}
	return k, loadMap(k, set)
}

// MistakesError is everything that is wrong with a configuration.
type MistakesError struct {
	Path string
	List []error
}

func (m *MistakesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "configuration %s: %d mistakes", m.Path, len(m.List))
	if len(m.List) == 1 {
		b.Reset()
		fmt.Fprintf(&b, "configuration %s: 1 mistake", m.Path)
	}
	for _, err := range m.List {
		fmt.Fprintf(&b, "\n  %v", err)
	}
	return b.String()
}

// Unwrap returns the mistakes.
func (m *MistakesError) Unwrap() []error { return m.List }

func loadFile(k *koanf.Koanf, path string) error {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no configuration at %s: write one (docs/ticketd.toml is an example), "+
			"or name it with --config", path)
	}
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	if err := k.Load(rawbytes.Provider(text), toml.Parser()); err != nil {
		if syntax, ok := errors.AsType[*tomlsyntax.DecodeError](err); ok {
			line, column := syntax.Position()
			return fmt.Errorf("configuration %s is not TOML: line %d, column %d: %w", path, line, column, err)
		}
		return fmt.Errorf("configuration %s is not TOML: %w", path, err)
	}
	return nil
}

func loadMap(k *koanf.Koanf, set map[string]any) error {
	if err := k.Load(confmap.Provider(set, "."), nil); err != nil {
		return fmt.Errorf("configuration: %w", err)
	}
	return nil
}

// envPrefix begins the names of all variables; envOwn are those that belong to the command line and are no keys.
const envPrefix = "TICKETD_"

var envOwn = []string{"TICKETD_SOCKET", "TICKETD_SITE", "TICKETD_CONFIG"}

// fromEnvironment turns TICKETD_SITES_MAIN_DSN=… into sites.main.dsn.
func fromEnvironment(k *koanf.Koanf, environ []string) map[string]any {
	set := make(map[string]any)
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		rest, ours := strings.CutPrefix(name, envPrefix)
		if !ours || slices.Contains(envOwn, name) || strings.HasPrefix(name, envPrefix+"TEST_") {
			continue
		}
		set[envKey(k, strings.ToLower(rest))] = value
	}
	return set
}

func envKey(k *koanf.Koanf, name string) string {
	section, rest, _ := strings.Cut(name, "_")
	if section != "sites" {
		return section + "." + rest
	}
	for _, site := range k.MapKeys("sites") {
		if key, found := strings.CutPrefix(rest, strings.ToLower(site)+"_"); found {
			return "sites." + site + "." + key
		}
	}
	site, key, _ := strings.Cut(rest, "_")
	return "sites." + site + "." + key
}

func fromFlags(flags []string) (map[string]any, error) {
	set := make(map[string]any)
	for _, flag := range flags {
		key, value, found := strings.Cut(flag, "=")
		if !found || key == "" {
			// The flag is not repeated: it may hold a secret.
			return nil, errors.New("--set: one has no key or no \"=\"; write key=value, e.g. redis.addr=127.0.0.1:6379")
		}
		set[key] = value
	}
	return set, nil
}

// decode fills the struct over the defaults. What it cannot place is a mistake each.
func decode(k *koanf.Koanf) (*Config, []error) {
	c := Defaults()
	mistakes := unmarshal(k, "", &c)
	if k.Exists("redis") && !k.Exists("redis.addr") && !c.HasRedis() {
		c.Redis.Addr = defaultRedis
	}
	sites := make(map[string]Site)
	for _, name := range k.MapKeys("sites") {
		site := SiteDefaults()
		mistakes = append(mistakes, unmarshal(k, "sites."+name, &site)...)
		sites[name] = site
	}
	c.Sites = sites
	return &c, mistakes
}

// unmarshal reads one section. The sites of the root are read one by one, each over its own defaults.
func unmarshal(k *koanf.Koanf, path string, into any) []error {
	var mistakes []error
	raw := k.Cut(path).Raw()
	if path == "" {
		raw = k.Raw()
		delete(raw, "sites")
	}
	mistakes = append(mistakes, unknownKeys(reflect.TypeOf(into).Elem(), raw, path)...)
	decoder, err := mapstructure.NewDecoder(&mapstructure.DecoderConfig{
		Result: into, TagName: "koanf", ZeroFields: true,
		DecodeHook: mapstructure.ComposeDecodeHookFunc(toDuration, toSlice, toInt, toBool),
	})
	if err != nil {
		return append(mistakes, err)
	}
	if err := decoder.Decode(raw); err != nil {
		mistakes = append(mistakes, readable(path, err)...)
	}
	return mistakes
}
