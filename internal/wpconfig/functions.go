package wpconfig

import (
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"
)

func dirname(p string) string {
	if trimmed := strings.TrimRight(p, "/"); trimmed != "" {
		p = trimmed
	}
	return path.Dir(p)
}

// eval runs a function: PHP's own where this package knows what it does, or the program's.
func (c *call) eval(m *machine) value {
	arguments := make([]value, len(c.arguments))
	for i, e := range c.arguments {
		arguments[i] = m.eval(e)
	}
	function := strings.TrimPrefix(c.function, `\`)
	if f := m.functions[function]; f != nil {
		return m.ownFunction(c, f, arguments)
	}
	if v, known := m.special(c, function, arguments); known {
		return v
	}
	return m.phpFunction(c, function, arguments)
}

// phpFunction runs a function of PHP that depends on its arguments alone.
func (m *machine) phpFunction(c *call, function string, arguments []value) value {
	why := "is computed by " + function + "(), which this command does not follow"
	f := pure[function]
	if _, undecided := m.functions[function]; undecided || f == nil && !harmless[function] || byReference(function, arguments) {
		m.doubts(c.at(), "calls "+function+"(), which this command does not follow")
		return unknown{why: why}
	}
	for _, a := range arguments {
		if of := doubtful(a); of != "" {
			return unknown{why: of}
		}
		if s, is := a.(string); is && len(s) > maxArgument {
			return unknown{why: why}
		}
	}
	if f != nil {
		v, known := f(arguments)
		if s, is := v.(string); known && (!is || len(s) <= maxText) {
			return v
		}
	}
	return unknown{why: why}
}

// byReference reports whether a call changes an argument.
func byReference(function string, arguments []value) bool {
	const least = 3
	return function == "preg_match" && len(arguments) >= least || len(arguments) > least
}

// ownFunction runs a function of the program.
func (m *machine) ownFunction(c *call, f *function, arguments []value) value {
	if m.depth >= maxCalls {
		m.doubts(c.at(), "calls more functions than this command follows")
		return unknown{why: "is computed by " + f.name + "(), which this command does not follow"}
	}
	locals, mist, inFunction := m.locals, m.localMist, m.inFunction
	own := make(map[string]value)
	for i, p := range f.parameters {
		switch {
		case i < len(arguments):
			own[p.name] = arguments[i]
		case p.fallback != nil:
			own[p.name] = m.eval(p.fallback)
		default:
			own[p.name] = unknown{why: "is an argument that is not given"}
		}
	}
	m.locals, m.localMist, m.inFunction = own, "", true
	m.depth++
	_, v := m.run(f.body)
	m.depth--
	m.locals, m.localMist, m.inFunction = locals, mist, inFunction
	if !inFunction {
		m.locals = m.globals // which may be others after a doubt
	}
	return v
}

// special runs the functions that look at, or change, more than their arguments.
func (m *machine) special(c *call, function string, arguments []value) (v value, known bool) {
	if function == "define" {
		return m.callDefine(c, arguments), true
	}
	f := looking[function]
	if f == nil {
		return nil, false
	}
	if len(arguments) == 0 {
		return unknown{why: "is computed by " + function + "() of nothing"}, true
	}
	if why := doubtful(arguments[0]); why != "" {
		if function == "putenv" {
			m.doubts(c.at(), "calls putenv() with what this command does not follow")
		}
		return unknown{why: why}, true
	}
	of, is := text(arguments[0])
	if !is {
		return unknown{why: "is computed by " + function + "(), which this command does not follow"}, true
	}
	return f(m, c, of), true
}

// looking are the functions of a text that look at the machine or at files.
var looking map[string]func(m *machine, c *call, of string) value

func init() { //nolint:gochecknoinits // the functions use the map
	exists := func(m *machine, _ *call, of string) value { return m.source.Files.Exists(m.absolute(of)) }
	looking = map[string]func(m *machine, c *call, of string) value{
		"defined":           func(m *machine, _ *call, of string) value { return m.isDefined(of) },
		"constant":          func(m *machine, c *call, of string) value { return m.eval(&name{c.place, of}) },
		"getenv":            func(m *machine, _ *call, of string) value { return m.environment(of, false) },
		"putenv":            func(m *machine, _ *call, of string) value { return m.putenv(of) },
		"function_exists":   func(m *machine, _ *call, of string) value { return m.hasFunction(of) },
		"file_get_contents": func(m *machine, _ *call, of string) value { return m.contents(of) },
		"realpath":          func(m *machine, _ *call, of string) value { return m.absolute(of) },
		"file_exists":       exists, "is_file": exists, "is_readable": exists, "is_dir": exists,
	}
}

func (m *machine) putenv(of string) value {
	name, to, set := strings.Cut(of, "=")
	m.elements["getenv "+name] = to
	if !set {
		m.elements["getenv "+name] = false
	}
	return true
}

func (m *machine) absolute(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(m.source.Root, p)
}

func (m *machine) callDefine(c *call, arguments []value) value {
	const least = 2
	if len(arguments) < least {
		return unknown{why: "is computed by define()"}
	}
	name, is := arguments[0].(string)
	if !is {
		m.doubts(c.at(), "defines a constant whose name is computed")
		return true
	}
	m.define(name, m.placed(c.at(), arguments[1]))
	return true
}

// isDefined returns whether a constant is defined.
func (m *machine) isDefined(name string) value {
	if v, there := m.constants[strings.TrimPrefix(name, `\`)]; there {
		if perhapsUnset(v) {
			return v
		}
		return true
	}
	if _, there := wellKnown[name]; there {
		return true
	}
	if m.doubt != "" {
		return unknown{why: mayBeSet + m.doubt}
	}
	for _, prefix := range []string{"PHP_", "E_", "MYSQLI_", "M_", "SODIUM_"} {
		if strings.HasPrefix(name, prefix) {
			return unknown{why: "depends on the constant " + name + " of PHP"}
		}
	}
	return false
}

func (m *machine) hasFunction(name string) value {
	name = strings.ToLower(strings.TrimPrefix(name, `\`))
	if f, there := m.functions[name]; there && f != nil {
		return true
	}
	if pure[name] != nil || harmless[name] || looking[name] != nil {
		return unknown{why: "depends on what this PHP has"}
	}
	if m.doubt != "" {
		return unknown{why: mayBeSet + m.doubt}
	}
	return false
}

// contents reads a file, as the function that reads Docker's secrets does.
func (m *machine) contents(p string) value {
	if m.shared.files >= maxFiles {
		return unknown{why: "is in more files than this command reads"}
	}
	m.shared.files++
	src, err := m.source.Files.Read(m.absolute(p))
	if err != nil {
		return unknown{why: "is in a file that cannot be read here: " + err.Error()}
	}
	return string(src)
}

// pure are functions of their arguments alone. The result is not known where the arguments are of another type.
var pure = map[string]func(arguments []value) (value, bool){
	"strtolower": ofText(func(s string) value { return asciiMap(s, 'A', 'Z', 'a'^'A') }),
	"strtoupper": ofText(func(s string) value { return asciiMap(s, 'a', 'z', 'a'^'A') }),
	"strlen":     ofText(func(s string) value { return int64(len(s)) }),
	"basename":   ofText(func(s string) value { return path.Base(s) }),
	"dirname":    callDirname,
	"trim":       callTrim(true, true), "ltrim": callTrim(true, false), "rtrim": callTrim(false, true),
	"chop":            callTrim(false, true),
	"strpos":          ofTexts(position),
	"stripos":         ofTexts(func(a, b string) value { return position(strings.ToLower(a), strings.ToLower(b)) }),
	"str_contains":    ofTexts(func(a, b string) value { return strings.Contains(a, b) }),
	"str_starts_with": ofTexts(func(a, b string) value { return strings.HasPrefix(a, b) }),
	"str_ends_with":   ofTexts(func(a, b string) value { return strings.HasSuffix(a, b) }),
	"str_replace":     callReplace,
	"preg_replace":    callPregReplace,
	"preg_match":      callPregMatch,
	"in_array":        callInArray,
	"is_string":       ofType(func(v value) bool { _, is := v.(string); return is }),
	"is_array":        ofType(func(v value) bool { _, is := v.(*array); return is }),
	"is_null":         ofType(func(v value) bool { return v == nil }),
}

// harmless are functions of PHP without an effect on constants and variables. What they return is not known.
var harmless = func() map[string]bool {
	all := make(map[string]bool)
	for name := range strings.FieldsSeq(`ini_set ini_get error_reporting set_time_limit date_default_timezone_set header setlocale
		error_log umask mb_internal_encoding ignore_user_abort headers_sent http_response_code extension_loaded php_sapi_name
		php_uname phpversion version_compare gethostname microtime time date rand mt_rand uniqid md5 sha1 hash crc32 base64_decode
		base64_encode json_decode json_encode parse_url urldecode rawurldecode urlencode explode implode join sprintf
		numeralformat intval floatval boolval strval count sizeof substr substr_count strrpos strstr strrev ucfirst str_pad
		array_key_exists array_keys array_values array_merge is_numeric is_int is_bool is_link is_writable filemtime
		filesize file glob scandir getcwd sys_get_temp_dir gc_enable opcache_get_status preg_split preg_quote strtr nl2br
		htmlspecialchars addslashes stripslashes filter_var strcmp strcasecmp strncmp strncasecmp max min abs round
		floor ceil range session_cache_limiter ob_start ob_end_clean ob_get_clean zend_version memory_get_usage
		mysqli_report getmypid posix_getuid random_bytes bin2hex hex2bin`) {
		all[name] = true
	}
	return all
}()

func ofText(f func(string) value) func([]value) (value, bool) {
	return func(arguments []value) (value, bool) {
		if len(arguments) != 1 {
			return nil, false
		}
		s, known := text(arguments[0])
		if !known {
			return nil, false
		}
		return f(s), true
	}
}

func ofTexts(f func(a, b string) value) func([]value) (value, bool) {
	return func(arguments []value) (value, bool) {
		const two = 2
		if len(arguments) != two {
			return nil, false
		}
		a, knownA := text(arguments[0])
		b, knownB := text(arguments[1])
		if !knownA || !knownB {
			return nil, false
		}
		return f(a, b), true
	}
}

func ofType(f func(value) bool) func([]value) (value, bool) {
	return func(arguments []value) (value, bool) {
		if len(arguments) != 1 {
			return nil, false
		}
		return f(arguments[0]), true
	}
}

func asciiMap(s string, from, to byte, by byte) string {
	b := []byte(s)
	for i, c := range b {
		if c >= from && c <= to {
			b[i] = c ^ by
		}
	}
	return string(b)
}

func position(s, of string) value {
	if at := strings.Index(s, of); at >= 0 {
		return int64(at)
	}
	return false
}

func callDirname(arguments []value) (value, bool) {
	if len(arguments) == 0 {
		return nil, false
	}
	p, known := text(arguments[0])
	levels := int64(1)
	if len(arguments) > 1 {
		levels, known = arguments[1].(int64)
	}
	for ; known && levels > 0 && p != "/"; levels-- {
		p = dirname(p)
	}
	return p, known
}

func callTrim(left, right bool) func([]value) (value, bool) {
	return func(arguments []value) (value, bool) {
		if len(arguments) == 0 {
			return nil, false
		}
		s, known := text(arguments[0])
		cut := " \n\r\t\v\x00"
		if known && len(arguments) > 1 {
			cut, known = text(arguments[1])
			known = known && !strings.Contains(cut, "..") // a range
		}
		if left {
			s = strings.TrimLeft(s, cut)
		}
		if right {
			s = strings.TrimRight(s, cut)
		}
		return s, known
	}
}

func callReplace(arguments []value) (value, bool) {
	const three = 3
	if len(arguments) != three {
		return nil, false
	}
	var parts [three]string
	for i, a := range arguments {
		var known bool
		if parts[i], known = text(a); !known {
			return nil, false
		}
	}
	if parts[0] == "" {
		return parts[2], true
	}
	return strings.ReplaceAll(parts[2], parts[0], parts[1]), true
}

// pattern compiles a pattern of PHP's, if Go's engine gives it the same meaning for the text.
func pattern(v value, in string) *regexp.Regexp {
	p, is := v.(string)
	const shortest = 2
	if !is || len(p) < shortest || p[0] != '/' || p[len(p)-1] != '/' || strings.ContainsFunc(p+in, func(r rune) bool {
		return r == '\n' || r >= utf8.RuneSelf
	}) {
		return nil // other delimiters, flags, characters of several bytes, an end of a line before the end
	}
	compiled, err := regexp.Compile(p[1 : len(p)-1])
	if err != nil {
		return nil
	}
	return compiled
}

func callPregReplace(arguments []value) (value, bool) {
	const three = 3
	if len(arguments) != three {
		return nil, false
	}
	to, isTo := arguments[1].(string)
	in, isIn := arguments[2].(string)
	re := pattern(arguments[0], in)
	if re == nil || !isTo || !isIn || strings.ContainsAny(to, `$\`) {
		return nil, false
	}
	return re.ReplaceAllLiteralString(in, to), true
}

func callPregMatch(arguments []value) (value, bool) {
	const two = 2
	if len(arguments) != two {
		return nil, false
	}
	in, is := arguments[1].(string)
	re := pattern(arguments[0], in)
	if re == nil || !is {
		return nil, false
	}
	if re.MatchString(in) {
		return int64(1), true
	}
	return int64(0), true
}

func callInArray(arguments []value) (value, bool) {
	const two = 2
	if len(arguments) < two {
		return nil, false
	}
	list, is := arguments[1].(*array)
	if !is {
		return nil, false
	}
	for _, v := range list.values {
		alike, known := alike(arguments[0], v)
		if !known {
			return nil, false
		}
		if alike {
			return true, true
		}
	}
	return false, true
}
