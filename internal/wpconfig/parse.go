package wpconfig

import (
	"errors"
	"fmt"
	"slices"
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
}

// Redis are the constants that the object-cache plugins share.
type Redis struct{ Host, Port, Path, Password, Database string }

// maxSize bounds a wp-config.php, in bytes: a real file has some kilobytes.
const maxSize = 1 << 20

// setting is a place that sets a value.
type setting struct {
	value value
	line  int
}

// value is the value in a setting.
type value struct {
	text string
	// env names the variable of the environment that holds the value instead.
	env string
	// why says why the value is unknown; empty for a known value.
	why string
	// names are the constants of an expression of constants alone.
	names []string
}

// known are the constants and variables that are looked at.
var known = []string{
	"DB_NAME", "DB_USER", "DB_PASSWORD", "DB_HOST", "MULTISITE", "MYSQL_CLIENT_FLAGS", "$table_prefix",
	"WP_REDIS_HOST", "WP_REDIS_PORT", "WP_REDIS_PATH", "WP_REDIS_PASSWORD", "WP_REDIS_DATABASE",
}

// parser collects the settings of a file.
type parser struct {
	tokens   []token
	settings map[string][]setting
	included int // line of the first include; 0 without includes
	getenv   func(string) (string, bool)
	wrong    []error
}

// Parse reads a wp-config.php. getenv looks up a variable of the environment for the file, as PHP would. The error names
// every unreadable value with its line; no message shows a value.
func Parse(src []byte, getenv func(string) (string, bool)) (*Config, error) {
	if len(src) > maxSize {
		return nil, fmt.Errorf("it is %d bytes long, which no wp-config.php is", len(src))
	}
	p := &parser{tokens: scan(src), settings: make(map[string][]setting), getenv: getenv}
	p.collect()
	c := &Config{
		Name: p.need("DB_NAME"), User: p.need("DB_USER"), Password: p.need("DB_PASSWORD"),
		Prefix: p.need("$table_prefix"), Multisite: p.holds("MULTISITE"),
		Redis: Redis{
			Host: p.optional("WP_REDIS_HOST"), Port: p.optional("WP_REDIS_PORT"), Path: p.optional("WP_REDIS_PATH"),
			Password: p.optional("WP_REDIS_PASSWORD"), Database: p.optional("WP_REDIS_DATABASE"),
		},
	}
	for _, s := range p.settings["MYSQL_CLIENT_FLAGS"] {
		c.TLS = c.TLS || slices.Contains(s.value.names, "MYSQLI_CLIENT_SSL")
		c.TLSUnverified = c.TLSUnverified || slices.Contains(s.value.names, "MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT")
	}
	c.TLS = c.TLS || c.TLSUnverified
	host, err := ParseHost(p.need("DB_HOST"))
	if err != nil {
		p.wrong = append(p.wrong, fmt.Errorf("DB_HOST: %w", err))
	}
	c.Host = host
	if len(p.wrong) > 0 {
		return nil, errors.Join(p.wrong...)
	}
	return c, nil
}

// collect walks over the tokens and notes all settings.
func (p *parser) collect() {
	for i := range p.tokens {
		switch t := &p.tokens[i]; t.kind {
		case tokenName:
			p.name(i, t)
		case tokenVariable:
			p.variable(i, t)
		default:
		}
	}
}

// name looks at a name: define, const, or an include.
func (p *parser) name(i int, t *token) {
	switch {
	case strings.EqualFold(t.text, "define") && !p.isMember(i):
		p.define(i)
	case strings.EqualFold(t.text, "const") && p.at(i+2).is("="):
		p.note(p.at(i+1).text, t.line, p.expression(i+3, ";", ","))
	case p.included == 0 && isInclude(t.text) && !p.isSettings(i):
		p.included = t.line
	}
}

// variable looks at a variable that may be assigned to.
func (p *parser) variable(i int, t *token) {
	switch {
	case p.at(i+1).is("=") && !p.at(i+2).is("=") && !p.at(i+2).is(">"):
		p.note(t.text, t.line, p.expression(i+2, ";"))
	case p.isChange(i + 1):
		p.note(t.text, t.line, value{why: "is changed there, and this command does not run PHP"}) // .= and similar operators
	}
}

// at returns a token; behind the last all are ends.
func (p *parser) at(i int) *token { return &p.tokens[min(i, len(p.tokens)-1)] }

// isChange reports whether an assignment that changes the present value of a variable begins at i: .= and similar, ??=.
func (p *parser) isChange(i int) bool {
	operator := p.at(i)
	if operator.is("?") {
		return p.at(i+1).is("?") && p.at(i+2).is("=")
	}
	changes := []string{".", "+", "-", "*", "/", "%", "|", "&", "^"}
	return operator.kind == tokenOther && slices.Contains(changes, operator.text) && p.at(i+1).is("=")
}

// isMember says that the name at i is that of a method or a function's own, not a call: ->define, ::define, function define.
func (p *parser) isMember(i int) bool {
	if i == 0 {
		return false
	}
	before := p.at(i - 1)
	return before.is(">") || before.is(":") || (before.kind == tokenName && strings.EqualFold(before.text, "function"))
}

func isInclude(name string) bool {
	switch strings.ToLower(name) {
	case "require", "require_once", "include", "include_once":
		return true
	default:
		return false
	}
}

// isSettings reports whether the include at i is WordPress itself, as at the end of every wp-config.php.
func (p *parser) isSettings(i int) bool {
	for j := i; j < i+8 && p.at(j).kind != tokenEnd && !p.at(j).is(";"); j++ {
		if t := p.at(j); t.kind == tokenText && strings.HasSuffix(t.text, "wp-settings.php") {
			return true
		}
	}
	return false
}

// define notes define( 'NAME', value ).
func (p *parser) define(i int) {
	if !p.at(i+1).is("(") || p.at(i+2).kind != tokenText || !p.at(i+3).is(",") {
		return
	}
	p.note(p.at(i+2).text, p.at(i).line, p.expression(i+4, ")", ","))
}

func (p *parser) note(name string, line int, v value) {
	if slices.Contains(known, name) {
		p.settings[name] = append(p.settings[name], setting{value: v, line: line})
	}
}

// need returns the value of a required setting.
func (p *parser) need(name string) string {
	v, err := p.resolve(name)
	if err == nil && v == nil {
		err = fmt.Errorf("%s is not set", name)
		if p.included > 0 {
			err = fmt.Errorf("%s is not set in this file; it may be in the one that line %d includes, which is not followed", name,
				p.included)
		}
	}
	if err != nil {
		p.wrong = append(p.wrong, err)
		return ""
	}
	return *v
}

// optional returns the value of an optional setting, if known.
func (p *parser) optional(name string) string {
	if v, err := p.resolve(name); err == nil && v != nil {
		return *v
	}
	return ""
}

// holds reports whether a setting is true.
func (p *parser) holds(name string) bool {
	switch strings.ToLower(p.optional(name)) {
	case "", "0", "false", "null":
		return false
	default:
		return true
	}
}

// resolve returns the only value of a setting, nil for a setting that is not set.
func (p *parser) resolve(name string) (*string, error) {
	var first *setting
	for i := range p.settings[name] {
		s := &p.settings[name][i]
		if s.value.why != "" {
			return nil, fmt.Errorf("line %d: %s %s", s.line, name, s.value.why)
		}
		if first != nil && (first.value.text != s.value.text || first.value.env != s.value.env) {
			return nil, fmt.Errorf("lines %d and %d: %s has different values, and only PHP can tell which counts",
				first.line, s.line, name)
		}
		if first == nil {
			first = s
		}
	}
	if first == nil {
		return nil, nil //nolint:nilnil // not set, which is no error
	}
	if first.value.env == "" {
		return &first.value.text, nil
	}
	if text, set := p.getenv(first.value.env); set {
		return &text, nil
	}
	return nil, fmt.Errorf("line %d: %s comes from PHP's environment variable %s, which is not set here: run this command with "+
		"%s=… before it", first.line, name, first.value.env, first.value.env)
}
