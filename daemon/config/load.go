package config

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/ticketd/ticketd/internal/regular"
)

// Load reads the file (none if path is empty), the environment and the flags (key=value), and checks the result. The error is
// a *[MistakesError] with every mistake, or says why the input cannot be read.
func Load(path string, environ, flags []string) (*Config, error) {
	root, from, err := read(path, environ, flags)
	if err != nil {
		return nil, err
	}
	c, mistakes := decode(root)
	c.from = from
	mistakes = append(mistakes, c.readSecrets()...)
	mistakes = append(mistakes, c.validate()...)
	if len(mistakes) > 0 {
		return nil, &MistakesError{Path: Source(path, environ), List: mistakes, from: from}
	}
	return c, nil
}

// readSecrets reads the files that hold secrets.
func (c *Config) readSecrets() []error {
	var mistakes []error
	read := func(key, file string, into *Secret) {
		if file == "" {
			return
		}
		if *into != "" {
			mistakes = append(mistakes, mistake(key, "give the file or the value, not the two together"))
			return
		}
		path, err := credential(file)
		if err != nil {
			mistakes = append(mistakes, mistake(key, "%v", err))
			return
		}
		text, err := regular.Read(path, maxSecret)
		if err != nil {
			mistakes = append(mistakes, mistake(key, "cannot read the file: %v", err))
			return
		}
		*into = Secret(strings.TrimRight(string(text), "\r\n"))
	}
	read("redis.password_file", c.Redis.PasswordFile, &c.Redis.Password)
	read("redis.sentinel_password_file", c.Redis.SentinelPasswordFile, &c.Redis.SentinelPassword)
	c.sections(func(name string, s *Site) {
		read("sites."+name+".dsn_file", s.DSNFile, &s.DSN)
		for _, at := range s.DestinationNames() {
			key, d := "sites."+name+".feeds."+at+".", s.Feeds[at]
			read(key+"url_file", d.URLFile, &d.URL)
			read(key+"secret_file", d.SecretFile, &d.Secret)
			read(key+"password_file", d.PasswordFile, &d.Password)
			var text Secret // NATS' client reads the file itself, again for each connection
			read(key+"credentials_file", d.CredentialsFile, &text)
			if path, err := credential(d.CredentialsFile); err == nil {
				d.CredentialsFile = path
			}
			s.Feeds[at] = d
		}
	})
	return mistakes
}

// credential resolves credential:NAME to the file that systemd provides for the credential of that name.
func credential(file string) (string, error) {
	name, is := strings.CutPrefix(file, "credential:")
	if !is {
		return file, nil
	}
	dir := os.Getenv("CREDENTIALS_DIRECTORY")
	if dir == "" || name == "" || strings.ContainsRune(name, '/') {
		return "", fmt.Errorf("no systemd credential %q: LoadCredential=%s:/path/of/the/file in the service's unit "+
			"provides the credential", name, name)
	}
	return filepath.Join(dir, name), nil
}

// LoadOpen is Load without the secrets, for a command that needs none: only the daemon may be able to read their files.
// Values are not checked.
func LoadOpen(path string, environ, flags []string) (*Config, error) {
	root, from, err := read(path, environ, flags)
	if err != nil {
		return nil, err
	}
	c, mistakes := decode(root)
	c.from = from
	if len(mistakes) > 0 {
		return nil, &MistakesError{Path: Source(path, environ), List: mistakes, from: from}
	}
	return c, nil
}

// read merges the file with the files of [sitesFolder], or the text of [envText], with the environment and the flags, in this
// order. Values from a file have their TOML types; other values are strings. from names the file of each site.
func read(path string, environ, flags []string) (root table, from map[string]string, err error) {
	root = make(table)
	if text, there := lookUp(environ, envText); there {
		if err := parse([]byte(text), envText, &root); err != nil {
			return nil, nil, err
		}
	} else if path != "" && !isWithoutFile(path, environ) {
		main := readFile(path, &root)
		if errors.Is(main, fs.ErrNotExist) {
			main = fmt.Errorf("no configuration at %s: write one (docs/ticketd.toml is an example), "+
				"name another path with --config, or set TICKETD_SITES_MAIN_DSN and other keys in the environment", path)
		}
		from, err = readFolder(path, root)
		if err = errors.Join(main, err); err != nil {
			return nil, nil, err
		}
	}
	setFromEnvironment(root, environ)
	return root, from, setFromFlags(root, flags)
}

// MistakesError lists all mistakes of a configuration.
type MistakesError struct {
	Path string
	List []error

	from map[string]string // the files of the sites
}

func (m *MistakesError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "configuration %s: %d mistakes", m.Path, len(m.List))
	if len(m.List) == 1 {
		b.Reset()
		fmt.Fprintf(&b, "configuration %s: 1 mistake", m.Path)
	}
	for _, err := range m.List {
		fmt.Fprintf(&b, "\n  %s", m.Text(err))
	}
	return b.String()
}

// Text is the text of one of the mistakes, with the file if that is one of [sitesFolder].
func (m *MistakesError) Text(mistake error) string {
	if file := m.from[siteOf(mistake)]; file != "" && file != m.Path {
		return fmt.Sprintf("%v (in %s)", mistake, file)
	}
	return mistake.Error()
}

// siteOf returns the site of a mistake in sites.NAME.key; empty for another mistake.
func siteOf(err error) string {
	wrong, is := errors.AsType[*keyError](err)
	if !is {
		return ""
	}
	rest, _ := strings.CutPrefix(wrong.key, "sites.")
	name, _, _ := strings.Cut(rest, ".")
	return name
}

func (m *MistakesError) Unwrap() []error { return m.List }

// table is a section of the configuration, as go-toml reads it.
type table = map[string]any

// The longest files, in bytes: a configuration of 10,000 sites has about 3 MB.
const (
	maxFile   = 16 << 20
	maxSecret = 1 << 20
)

// byteOrderMark is what some editors of Windows write before the first line.
var byteOrderMark = []byte("\uFEFF")

func readFile(path string, into *table) error {
	text, err := regular.Read(path, maxFile)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	return parse(bytes.TrimPrefix(text, byteOrderMark), path, into)
}

func parse(text []byte, path string, into *table) error {
	if err := toml.Unmarshal(text, into); err != nil {
		if syntax, ok := errors.AsType[*toml.DecodeError](err); ok {
			line, column := syntax.Position()
			return fmt.Errorf("configuration %s is not TOML: line %d, column %d: %w", path, line, column, err)
		}
		return fmt.Errorf("configuration %s is not TOML: %w", path, err)
	}
	return nil
}

func setFromFlags(root table, flags []string) error {
	for _, flag := range flags {
		name, value, found := strings.Cut(flag, "=")
		if !found || name == "" {
			// The message omits the flag, which may hold a secret.
			return errors.New("--set: a flag has no key or no \"=\"; write key=value, e.g. redis.addr=127.0.0.1:6379")
		}
		setAt(root, strings.Split(name, "."), value)
	}
	return nil
}

// subtable returns a table inside another table, and makes a missing table.
func subtable(in table, name string) table {
	found, there := in[name].(table)
	if !there {
		found = make(table)
		in[name] = found
	}
	return found
}
