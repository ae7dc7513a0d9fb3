package wpconfig

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Config holds the settings of a wp-config.php.
type Config struct {
	Name, User, Password string // of the database
	Host                 Host
	Prefix               string // $table_prefix
	Multisite            bool
	// TLS: MYSQL_CLIENT_FLAGS requires TLS; TLSUnverified: without checking the server's certificate.
	TLS, TLSUnverified bool
	// Redis is the object cache's setting for Redis; empty fields are not set.
	Redis Redis
	// Notes are for people: the environment variables that were read, and what could not be read and is not needed.
	Notes []string
}

// Redis are the settings that the object-cache plugins share: the constants WP_REDIS_…, or WP_REDIS_CONFIG.
type Redis struct {
	Host, Port, Path, User, Password, Database string
	TLS                                        bool
}

// Source is a wp-config.php and its surroundings.
type Source struct {
	// Path is the file's path, and Root the folder of WordPress, absolute.
	Path, Root string
	// Host is the host name of the site's pages; empty if not known.
	Host string
	// Getenv looks up a variable of the environment for the file. Only the variables that WordPress' conventions know are
	// looked up, and those in Permitted.
	Getenv    func(string) (string, bool)
	Permitted []string
	// Files are the files as PHP sees them.
	Files Files
}

// Files are the files that a configuration includes or looks for.
type Files interface {
	// Read returns a regular file of bounded size.
	Read(path string) ([]byte, error)
	Exists(path string) bool
}

// MaxSize bounds a wp-config.php, in bytes: a real file has some kilobytes.
const MaxSize = 1 << 20

// conventional are the variables of the environment that common configurations read: those of Docker's images (each with a
// second one, NAME_FILE, that names a file), of Bedrock, and of hosts.
var conventional = strings.Fields(`WORDPRESS_DB_NAME WORDPRESS_DB_USER WORDPRESS_DB_PASSWORD WORDPRESS_DB_HOST WORDPRESS_DB_PORT
	WORDPRESS_DB_CHARSET WORDPRESS_DB_COLLATE WORDPRESS_TABLE_PREFIX WORDPRESS_DEBUG WORDPRESS_CONFIG_EXTRA WORDPRESS_CONFIG
	WORDPRESS_AUTH_KEY WORDPRESS_SECURE_AUTH_KEY WORDPRESS_LOGGED_IN_KEY WORDPRESS_NONCE_KEY WORDPRESS_AUTH_SALT
	WORDPRESS_SECURE_AUTH_SALT WORDPRESS_LOGGED_IN_SALT WORDPRESS_NONCE_SALT
	WORDPRESS_DATABASE_NAME WORDPRESS_DATABASE_USER WORDPRESS_DATABASE_PASSWORD WORDPRESS_DATABASE_HOST
	DB_NAME DB_USER DB_PASSWORD DB_PASS DB_HOST DB_PORT DB_PREFIX DB_CHARSET DB_COLLATE DB_TABLE_PREFIX DATABASE_URL TABLE_PREFIX
	WP_DB_NAME WP_DB_USER WP_DB_PASSWORD WP_DB_HOST WP_DB_PREFIX WP_TABLE_PREFIX WP_ENV WP_ENVIRONMENT_TYPE WP_HOME WP_SITEURL
	WP_DEBUG
	MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD MYSQL_HOST MYSQL_PORT MARIADB_DATABASE MARIADB_USER MARIADB_PASSWORD MARIADB_HOST
	MARIADB_PORT
	WP_REDIS_HOST WP_REDIS_PORT WP_REDIS_PATH WP_REDIS_PASSWORD WP_REDIS_DATABASE WP_REDIS_SCHEME REDIS_HOST REDIS_PORT
	REDIS_PASSWORD REDIS_DATABASE`)

// looked are the settings that are looked at, with the dollar sign of the variable.
var looked = []string{
	"DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "$table_prefix", "MYSQL_CLIENT_FLAGS", "MULTISITE",
	"WP_REDIS_HOST", "WP_REDIS_PORT", "WP_REDIS_PATH", "WP_REDIS_PASSWORD", "WP_REDIS_DATABASE", "WP_REDIS_SCHEME",
	"WP_REDIS_USERNAME", "WP_REDIS_CONFIG",
}

// Parse reads a wp-config.php without running PHP. The error names every setting that is needed and not known, with the
// reason; no message shows a value.
func Parse(src []byte, source *Source) (*Config, error) {
	if len(src) > MaxSize {
		return nil, fmt.Errorf("it is %d bytes long, which no wp-config.php is", len(src))
	}
	m := &machine{
		source: source, shared: &counters{read: make(map[string]bool)},
		state: state{
			constants: map[string]value{"ABSPATH": source.Root + "/"}, globals: make(map[string]value),
			elements: make(map[string]value), functions: make(map[string]*function), included: make(map[string]bool),
		},
	}
	m.locals = m.globals
	m.runFile(source.Path, src)
	f := &facts{settings: make(map[string]value), doubt: m.doubt}
	if m.ended && !m.done {
		return nil, errors.New("DB_NAME and the others are not known: the file ends the page before WordPress begins")
	}
	for _, name := range looked {
		if v, there := m.constants[name]; there {
			f.settings[name] = v
		}
	}
	delete(f.settings, "$table_prefix")
	if v := m.variable(&reading{text: "$table_prefix"}); settle(v) != nil {
		f.settings["$table_prefix"] = v
	}
	c, err := f.config()
	if err != nil {
		return nil, err
	}
	c.Notes = append(c.Notes, environmentNotes(m.shared.read)...)
	return c, nil
}

// environmentNotes names the variables of the environment that the file has read, each with whether it is set here.
func environmentNotes(read map[string]bool) []string {
	var set, unset, notes []string
	for _, name := range slices.Sorted(maps.Keys(read)) {
		switch {
		case read[name]:
			set = append(set, name)
		case !strings.HasSuffix(name, "_FILE") && !strings.HasSuffix(name, "_KEY") && !strings.HasSuffix(name, "_SALT"):
			unset = append(unset, name)
		}
	}
	if len(set) > 0 {
		notes = append(notes, "from the environment of this command: "+strings.Join(set, ", "))
	}
	if len(unset) > 0 {
		notes = append(notes, "not in the environment of this command, so that the defaults in the file count: "+
			""+strings.Join(unset, ", ")+
			"; if PHP has them, set them before the command")
	}
	return notes
}

// facts are the settings of a configuration, from the machine or from PHP itself.
type facts struct {
	settings map[string]value
	doubt    string // what may have set the settings that are not there; empty without a doubt
	wrong    []fault
	notes    []string
}

// fault is a setting that is needed and not known.
type fault struct{ name, why string }

func (f *facts) config() (*Config, error) {
	c := &Config{
		Name: f.need("DB_NAME"), User: f.need("DB_USER"), Password: f.need("DB_PASSWORD"), Prefix: f.need("$table_prefix"),
		Multisite: f.holds("MULTISITE"),
	}
	host, err := ParseHost(f.need("DB_HOST"))
	if err != nil {
		f.wrong = append(f.wrong, fault{"DB_HOST", "is not read: " + err.Error()})
	}
	c.Host = host
	flags := f.flags()
	c.TLSUnverified = flags&clientUnverified != 0
	c.TLS = c.TLSUnverified || flags&clientSSL != 0
	c.Redis = f.redis()
	for name, text := range map[string]string{
		"DB_NAME": c.Name, "DB_USER": c.User, "DB_PASSWORD": c.Password, "DB_HOST": host.Address + host.Socket,
		"$table_prefix": c.Prefix,
		"WP_REDIS_HOST": c.Redis.Host, "WP_REDIS_PORT": c.Redis.Port, "WP_REDIS_PATH": c.Redis.Path,
		"WP_REDIS_DATABASE": c.Redis.Database,
		"WP_REDIS_USERNAME": c.Redis.User, "WP_REDIS_PASSWORD": c.Redis.Password,
	} {
		if strings.ContainsFunc(text, isControl) {
			f.wrong = append(f.wrong, fault{name, "holds a control character, such as the end of a line"})
		}
	}
	if len(f.wrong) > 0 {
		return nil, f.faults()
	}
	c.Notes = f.notes
	return c, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// faults returns an error with a line for each reason.
func (f *facts) faults() error {
	names := make(map[string][]string)
	for _, w := range f.wrong {
		names[w.why] = append(names[w.why], w.name)
	}
	var lines []error
	for _, why := range slices.SortedFunc(maps.Keys(names), func(a, b string) int {
		return cmp.Or(cmp.Compare(slices.Min(names[a]), slices.Min(names[b])), cmp.Compare(a, b))
	}) {
		slices.Sort(names[why])
		lines = append(lines, fmt.Errorf("%s %s", strings.Join(names[why], ", "), why))
	}
	return errors.Join(lines...)
}

// get returns a setting, or why it is not known.
func (f *facts) get(name string) (v value, there bool, why string) {
	v, there = f.settings[name]
	why = doubtful(v)
	if f.doubt != "" && (!there || strings.Contains(why, f.doubt)) {
		why = mayBeSet + f.doubt // the first reason, not what follows from it
	}
	return v, there, why
}

// need returns a setting that a configuration must have.
func (f *facts) need(name string) string {
	v, there, why := f.get(name)
	of, is := text(v)
	switch {
	case why != "":
	case !there:
		why = "is not set"
	case !is:
		why = "is no text"
	default:
		return of
	}
	f.wrong = append(f.wrong, fault{name, why})
	return ""
}

// optional returns a setting that may be missing; what is there and not known is a note.
func (f *facts) optional(name string) value {
	v, there := f.settings[name]
	if why := doubtful(v); there && why != "" {
		f.notes = append(f.notes, fmt.Sprintf("%s is not used: it %s", name, why))
		return nil
	}
	return v
}

func (f *facts) holds(name string) bool {
	is, _ := truth(f.optional(name))
	return is
}

// flags returns MYSQL_CLIENT_FLAGS. Flags that are not known are a fault, as the password might go out without TLS.
func (f *facts) flags() int64 {
	v, there := f.settings["MYSQL_CLIENT_FLAGS"]
	if why := doubtful(v); why != "" {
		f.wrong = append(f.wrong, fault{"MYSQL_CLIENT_FLAGS", why})
		return 0
	}
	switch v := v.(type) {
	case int64:
		return v
	case string:
		if n, err := strconv.ParseInt(v, 10, 64); err == nil {
			return n
		}
	}
	if there {
		f.notes = append(f.notes, "MYSQL_CLIENT_FLAGS is not used: it is no number")
	}
	return 0
}

// redis returns the object cache's Redis: WP_REDIS_CONFIG where it is a list, as in Object Cache Pro, else the constants.
func (f *facts) redis() Redis {
	get := f.optional
	if config, is := f.settings["WP_REDIS_CONFIG"].(*array); is {
		get = func(name string) value {
			v := config.get(strings.ToLower(strings.TrimPrefix(name, "WP_REDIS_")))
			if why := doubtful(v); why != "" {
				f.notes = append(f.notes, fmt.Sprintf("WP_REDIS_CONFIG: %s is not used: it %s", strings.ToLower(name), why))
				return nil
			}
			return v
		}
	}
	of := func(name string) string {
		s, _ := text(get(name))
		return s
	}
	r := Redis{
		Host: of("WP_REDIS_HOST"), Port: of("WP_REDIS_PORT"), Path: of("WP_REDIS_PATH"), Database: of("WP_REDIS_DATABASE"),
		User: of("WP_REDIS_USERNAME"),
	}
	switch password := get("WP_REDIS_PASSWORD").(type) {
	case *array: // a user and a password, or a password alone
		var parts []string
		for _, v := range password.values {
			s, _ := text(v)
			parts = append(parts, s)
		}
		switch len(parts) {
		case 1:
			r.Password = parts[0]
		case 2: //nolint:mnd // the user and the password
			r.User, r.Password = parts[0], parts[1]
		default:
			f.notes = append(f.notes, "WP_REDIS_PASSWORD is not used: a list of a user and a password has two elements")
		}
	default:
		r.Password, _ = text(password)
	}
	r.TLS = strings.EqualFold(of("WP_REDIS_SCHEME"), "tls") || strings.EqualFold(of("WP_REDIS_SCHEME"), "rediss")
	for _, scheme := range []string{"tls://", "ssl://", "rediss://", "tcp://", "redis://", "unix://"} {
		host, found := strings.CutPrefix(r.Host, scheme)
		if !found {
			continue
		}
		r.Host = host
		switch scheme {
		case "tls://", "ssl://", "rediss://":
			r.TLS = true
		case "unix://":
			r.Host, r.Path = "", host
		}
	}
	if r.TLS {
		r.Path = ""
	}
	return r
}
