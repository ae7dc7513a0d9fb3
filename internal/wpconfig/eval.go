package wpconfig

import (
	"fmt"
	"slices"
	"strings"
)

// eval returns the value of an expression, with its effects.
func (m *machine) eval(e expression) value {
	if e == nil {
		return nil
	}
	if m.tired(e.at()) {
		return unknown{why: "is computed in more steps than this command follows"}
	}
	return e.eval(m)
}

func (l *literal) eval(*machine) value { return l.value }

// eval returns the value of a variable that must be set: for PHP one that is not set is null, with a warning, and for a
// configuration a mistake, or set by what this package does not see.
func (r *reading) eval(m *machine) value {
	v, there := m.locals[r.text]
	if !there {
		if v = m.variable(r); v == nil {
			return unknown{why: "has the value of " + r.text + ", which is not set"}
		}
	}
	return v
}

func (i *inclusion) eval(m *machine) value { return m.include(i) }

func (*ending) eval(m *machine) value {
	m.ended = true
	return unknown{why: "ends the page"}
}

func (o *opaque) eval(m *machine) value {
	if !o.harmless {
		m.doubts(o.at(), "has "+o.what+", which this command does not follow")
	}
	return unknown{why: "is computed by " + o.what + ", which this command does not follow"}
}

// wellKnown are PHP's own constants that a configuration uses.
var wellKnown = map[string]value{
	"PHP_EOL": "\n", "DIRECTORY_SEPARATOR": "/", "PATH_SEPARATOR": ":", "PHP_INT_SIZE": int64(8),
	"MYSQLI_CLIENT_SSL": int64(clientSSL), "MYSQL_CLIENT_SSL": int64(clientSSL),
	"MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT": int64(clientUnverified),
	"MYSQLI_CLIENT_SSL_VERIFY_SERVER_CERT":      int64(1 << 30),
	"MYSQLI_CLIENT_COMPRESS":                    int64(32), "MYSQLI_CLIENT_FOUND_ROWS": int64(2),
	"MYSQLI_CLIENT_IGNORE_SPACE": int64(256),
	"MYSQLI_CLIENT_INTERACTIVE":  int64(1024), "MYSQLI_CLIENT_NO_SCHEMA": int64(16),
}

// The bits of MYSQL_CLIENT_FLAGS: MYSQLI_CLIENT_SSL and MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT.
const (
	clientSSL        = 2048
	clientUnverified = 64
)

func (n *name) eval(m *machine) value {
	text := strings.TrimPrefix(n.text, `\`)
	if v, there := m.constants[text]; there {
		return v
	}
	if v, there := wellKnown[text]; there {
		return v
	}
	if m.doubt != "" {
		return unknown{why: mayBeSet + m.doubt}
	}
	return unknown{why: "has the value of the constant " + text + ", which this command does not know"}
}

// variable returns the value of a variable; nil for one that is not set.
func (m *machine) variable(r *reading) value {
	if v, there := m.locals[r.text]; there {
		return v
	}
	mist := m.mist
	if m.inFunction {
		mist = m.localMist
	}
	switch {
	case isSuperglobal(r.text), r.text == "$this":
		return unknown{why: "is computed from " + r.text + ", which this command does not follow"}
	case mist != "":
		return unknown{why: mayBeSet + mist, unset: true}
	default:
		return nil
	}
}

// asked evaluates an operand of isset, empty or ??, which need not be set.
func (m *machine) asked(e expression) value {
	if r, is := e.(*reading); is {
		return m.variable(r)
	}
	return m.eval(e)
}

func isSuperglobal(variable string) bool {
	switch variable {
	case "$_ENV", "$_SERVER", "$_GET", "$_POST", "$_COOKIE", "$_REQUEST", "$_FILES", "$_SESSION", "$GLOBALS":
		return true
	default:
		return false
	}
}

// eval returns base[key].
func (e *element) eval(m *machine) value {
	var key value
	if e.key != nil {
		key = m.eval(e.key)
	}
	if r, is := e.base.(*reading); is && isSuperglobal(r.text) {
		return m.superglobal(r.text, key)
	}
	base := m.asked(e.base)
	of, is := base.(*array)
	if why := doubtful(base); !is && why != "" {
		return unknown{why: why}
	}
	k, valid := keyOf(key)
	if !is || !valid || e.key == nil {
		return unknown{why: "is an element of what is no list"}
	}
	return of.get(k)
}

// superglobal returns an element of $_SERVER, $_ENV or $GLOBALS.
func (m *machine) superglobal(variable string, key value) value {
	name, is := key.(string)
	if !is {
		return unknown{why: "is computed from " + variable + ", which this command does not follow"}
	}
	if variable == "$GLOBALS" {
		if v, there := m.globals["$"+name]; there {
			return v
		}
		if m.mist != "" {
			return unknown{why: mayBeSet + m.mist, unset: true}
		}
		return nil
	}
	if v, there := m.elements[name]; there {
		return v
	}
	if m.mist != "" {
		return unknown{why: mayBeSet + m.mist, unset: true}
	}
	switch {
	case variable == "$_SERVER" && (name == "HTTP_HOST" || name == "SERVER_NAME"):
		if m.source.Host != "" {
			return m.source.Host
		}
		return unknown{why: "depends on the site's host name: name the site with --url https://shop.example.com"}
	case variable == "$_ENV", variable == "$_SERVER" && !ofRequest(name):
		return m.environment(name, true)
	default:
		return unknown{why: "depends on the request"}
	}
}

// ofRequest reports whether an element of $_SERVER is the web server's and not a variable of the environment.
func ofRequest(name string) bool {
	for _, prefix := range []string{
		"HTTP_", "HTTPS", "SERVER_", "REQUEST_", "REMOTE_", "SCRIPT_", "DOCUMENT_", "QUERY_", "PHP_", "PATH_", "CONTENT_", "CONTEXT_",
		"GATEWAY_", "REDIRECT_", "AUTH_", "ORIG_", "argc", "argv", "SSL_", "FCGI_", "GEOIP_",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// environment returns a variable of the environment, if this command may read the variable.
func (m *machine) environment(name string, null bool) value {
	if v, there := m.elements["getenv "+name]; there {
		return v
	}
	if m.mist != "" {
		return unknown{why: mayBeSet + m.mist, unset: true}
	}
	v, set := m.source.Getenv(name)
	if set && !m.source.permits(name) {
		return unknown{why: "comes from PHP's environment variable " + name + ", which is not one of WordPress' own: --env " + name +
			" lets this command read the variable"}
	}
	m.shared.read[name] = set
	if !set {
		return absent{name, null}
	}
	return v
}

func (l *list) eval(m *machine) value {
	a := &array{}
	for i, e := range l.values {
		var key value
		if l.keys[i] != nil {
			v := m.eval(l.keys[i])
			k, valid := keyOf(v)
			if !valid {
				return unknown{why: "is a list with computed keys"}
			}
			key = k
		}
		a = a.with(key, m.eval(e))
	}
	return a
}

func (u *unary) eval(m *machine) value {
	v := m.eval(u.operand)
	if w, is := v.(unknown); is {
		return w
	}
	switch u.operator {
	case "!":
		is, _ := truth(v)
		return !is
	case "bool", "boolean":
		is, _ := truth(v)
		return is
	case "string":
		if _, is := v.(absent); !is {
			if s, known := text(v); known {
				return s
			}
		}
	case "int", "integer", "-", "+":
		if n, is := v.(int64); is {
			if u.operator == "-" {
				return -n
			}
			return n
		}
		if s, is := v.(string); is && u.operator != "-" {
			if n, decimal := numeral(s).(int64); decimal && !strings.HasPrefix(s, "0") {
				return n
			}
		}
	}
	return unknown{why: "is computed, which this command does not follow"}
}

func (b *operation) eval(m *machine) value {
	switch b.operator {
	case "??":
		return m.lazy(b, m.asked(b.left))
	case "&&", "and", "||", "or":
		return m.lazy(b, m.eval(b.left))
	}
	left := m.eval(b.left)
	right := m.eval(b.right)
	switch b.operator {
	case "===", "!==", "==", "!=", "<>":
		return compare(b.operator, left, right)
	case ".":
		return joined(left, right)
	}
	for _, v := range []value{left, right} {
		if why := doubtful(v); why != "" {
			return unknown{why: why}
		}
	}
	if v, known := arithmetic(b.operator, left, right); known {
		return v
	}
	return unknown{why: "is computed, which this command does not follow"}
}

// joined puts two texts together.
func joined(left, right value) value {
	for _, v := range []value{left, right} {
		if why := doubtful(v); why != "" {
			return unknown{why: why}
		}
	}
	l, knownLeft := text(left)
	r, knownRight := text(right)
	if knownLeft && knownRight && len(l)+len(r) <= maxText {
		return l + r
	}
	return unknown{why: "is computed, which this command does not follow"}
}

// maxText bounds a text that the machine puts together, and maxArgument one that it gives to a function, in bytes.
const (
	maxText     = 1 << 16
	maxArgument = 1 << 12
)

func arithmetic(operator string, left, right value) (value, bool) {
	l, isLeft := left.(int64)
	r, isRight := right.(int64)
	if !isLeft || !isRight {
		return nil, false
	}
	switch operator {
	case "|":
		return l | r, true
	case "&":
		return l & r, true
	case "+":
		return l + r, true
	case "-":
		return l - r, true
	case "*":
		return l * r, true
	case "<":
		return l < r, true
	case ">":
		return l > r, true
	case "<=":
		return l <= r, true
	case ">=":
		return l >= r, true
	default:
		return nil, false
	}
}

func compare(operator string, left, right value) value {
	for _, v := range []value{left, right} {
		if w, is := v.(unknown); is {
			return w
		}
		if a, is := v.(*array); is && doubtful(a) != "" {
			return unknown{why: doubtful(a)}
		}
	}
	if operator == "===" || operator == "!==" {
		return same(left, right) == (operator == "===")
	}
	is, known := alike(left, right)
	if !known {
		return unknown{why: "depends on a comparison that this command does not follow"}
	}
	return is == (operator == "==")
}

// lazy evaluates the right side where PHP would.
func (m *machine) lazy(b *operation, left value) value {
	if b.operator == "??" {
		if w, is := left.(unknown); is {
			m.perhaps(b.right, w.why)
			return w
		}
		if settle(left) == nil {
			return m.eval(b.right)
		}
		return left
	}
	and := b.operator == "&&" || b.operator == "and"
	is, known := truth(left)
	if known && is != and {
		return is
	}
	if known {
		right := m.eval(b.right)
		if is, known := truth(right); known {
			return is
		}
		return unknown{why: doubtful(right)}
	}
	right := m.perhaps(b.right, doubtful(left))
	if is, known := truth(right); known && is != and {
		return is
	}
	return unknown{why: doubtful(left)}
}

// perhaps evaluates what PHP may or may not run.
func (m *machine) perhaps(e expression, why string) value {
	var v value
	m.fork(e.at(), why, func() (signal, value) {
		v = m.eval(e)
		return goesOn, nil
	}, func() (signal, value) { return goesOn, nil })
	return v
}

func (c *choice) eval(m *machine) value {
	condition := m.eval(c.condition)
	is, known := truth(condition)
	switch {
	case !known:
		why := doubtful(condition)
		m.perhaps(c.no, why)
		if c.yes != nil {
			m.perhaps(c.yes, why)
		}
		return unknown{why: why}
	case is && c.yes == nil:
		return condition
	case is:
		return m.eval(c.yes)
	default:
		return m.eval(c.no)
	}
}

func (a *assignment) eval(m *machine) value {
	var v value
	switch a.operator {
	case "=":
		v = m.eval(a.value)
	case "??=":
		v = m.lazy(&operation{a.place, "??", a.target, a.value}, m.asked(a.target))
	case "++", "--":
		v = unknown{why: "is counted, which this command does not follow"}
	default:
		v = m.eval(&operation{a.place, strings.TrimSuffix(a.operator, "="), a.target, a.value})
	}
	m.assign(a.target, m.placed(a.at(), v))
	return v
}

// assign sets a variable or an element.
func (m *machine) assign(target expression, v value) {
	switch target := target.(type) {
	case *reading:
		if isSuperglobal(target.text) {
			m.doubts(target.at(), "changes "+target.text+", which this command does not follow")
			return
		}
		m.locals[target.text] = v
	case *element:
		m.assignElement(target, v)
	case *opaque: // a property
	default:
		m.doubts(target.at(), "sets what is computed, which this command does not follow")
	}
}

func (m *machine) assignElement(target *element, v value) {
	var key value
	valid := true
	if target.key != nil {
		key, valid = keyOf(m.eval(target.key))
	}
	r, is := target.base.(*reading)
	if is && isSuperglobal(r.text) {
		name, named := key.(string)
		switch {
		case !named:
			m.doubts(target.at(), fmt.Sprintf("changes %s, which this command does not follow", r.text))
		case r.text == "$GLOBALS":
			m.globals["$"+name] = v
		default:
			m.elements[name] = v
		}
		return
	}
	base := m.asked(target.base)
	of, list := base.(*array)
	if base == nil {
		of, list = &array{}, true
	}
	switch {
	case list && valid:
		m.assign(target.base, of.with(key, v))
	case doubtful(base) != "":
		m.assign(target.base, unknown{why: doubtful(base)})
	default:
		m.assign(target.base, unknown{why: "is a list that this command does not follow"})
	}
}

// eval reports whether all operands are set and not null, or, for empty, whether the operand is not set or not true.
func (i *isset) eval(m *machine) value {
	for _, operand := range i.operands {
		v := m.asked(operand)
		if w, is := v.(unknown); is {
			return w
		}
		if i.empty {
			is, _ := truth(v)
			return !is
		}
		if settle(v) == nil {
			return false
		}
	}
	return true
}

func (s *Source) permits(variable string) bool {
	return slices.Contains(conventional, strings.TrimSuffix(variable, "_FILE")) || slices.Contains(s.Permitted, variable)
}
