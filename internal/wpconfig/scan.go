package wpconfig

import (
	"bytes"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is the kind of a token.
type kind int

const (
	tokenEnd      kind = iota
	tokenName          // define, true, MYSQLI_CLIENT_SSL; without the case that PHP ignores
	tokenVariable      // $table_prefix, with the dollar sign
	tokenText          // a string in quotes with a literal value
	tokenBlock         // a string between two labels (nowdoc, heredoc) with a literal value
	tokenComputed      // a string that PHP puts together: with variables inside, or run by a shell
	tokenNumber        // 12, 0x1f, 1.5
	tokenOther         // an operator, or a byte of punctuation
)

// token is a piece of PHP.
type token struct {
	kind kind
	text string
	line int
}

func (t *token) is(text string) bool { return t.kind == tokenOther && t.text == text }

// scanner takes PHP apart. An unclosed string or comment ends with the file, as in an editor.
type scanner struct {
	src  []byte
	line int
}

var (
	openTag = regexp.MustCompile(`(?i)<\?php(?:[ \t\r\n]|$)|<\?=`)
	word    = regexp.MustCompile(`^[A-Za-z_\x80-\xff\\][A-Za-z0-9_\x80-\xff\\]*`)
	// backticks are a shell command; an unclosed command extends to the end of the file.
	backticks = regexp.MustCompile("(?s)^`(?:[^`\\\\]|\\\\.)*`?")
	number    = regexp.MustCompile(`^(?:0[xXbBoO][0-9A-Fa-f_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9][0-9_]*)`)
	operator  = regexp.MustCompile(`^(?:\?\?=|\*\*=|<=>|===|!==|<<=|>>=|\?->|\.\.\.|\?\?|\+\+|--|->|=>|::|==|!=|<>|<=|>=|&&|\|\||` +
		`<<|>>|\*\*|[.+*/%&|^-]=)`)
	heredoc = regexp.MustCompile(`^<<<[ \t]*(?:"([A-Za-z_][A-Za-z0-9_]*)"|'([A-Za-z_][A-Za-z0-9_]*)'|([A-Za-z_][A-Za-z0-9_]*))` +
		`(?:\r\n?|\n)`)
)

// scan returns the tokens of a file, which ends with one of the kind tokenEnd.
func scan(src []byte) []token {
	s := &scanner{src: src, line: 1}
	s.leavePHP()
	var tokens []token
	for {
		t := s.next()
		tokens = append(tokens, t)
		if t.kind == tokenEnd {
			return tokens
		}
	}
}

// take moves over n bytes and returns them.
func (s *scanner) take(n int) string {
	text := string(s.src[:n])
	s.line += strings.Count(text, "\n")
	for i := range n { // one that stands alone ends a line for PHP, too
		if s.src[i] == '\r' && (i+1 == len(s.src) || s.src[i+1] != '\n') {
			s.line++
		}
	}
	s.src = s.src[n:]
	return text
}

// takeTo moves behind the first end, or to the end of the file.
func (s *scanner) takeTo(end string) {
	if at := bytes.Index(s.src, []byte(end)); at >= 0 {
		s.take(at + len(end))
		return
	}
	s.take(len(s.src))
}

// leavePHP moves to the code behind the next opening tag.
func (s *scanner) leavePHP() {
	end := len(s.src)
	if at := openTag.FindIndex(s.src); at != nil {
		end = at[1]
	}
	s.take(end)
}

func (s *scanner) next() token {
	for len(s.src) > 0 {
		line, c := s.line, s.src[0]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
			s.take(1)
		case s.starts("?>"):
			s.take(len("?>"))
			s.leavePHP()
			return token{kind: tokenOther, text: ";", line: line} // which a closing tag stands for
		case s.starts("/*"):
			s.take(len("/*"))
			s.takeTo("*/")
		case s.starts("//") || (c == '#' && !s.starts("#[")):
			s.comment()
		default:
			t := s.token()
			t.line = line
			return t
		}
	}
	return token{kind: tokenEnd, line: s.line}
}

func (s *scanner) starts(with string) bool { return bytes.HasPrefix(s.src, []byte(with)) }

// comment moves to the end of a line's comment, which a closing tag ends as well.
func (s *scanner) comment() {
	n := bytes.IndexAny(s.src, "\n\r")
	if n < 0 {
		n = len(s.src)
	}
	if at := bytes.Index(s.src[:n], []byte("?>")); at >= 0 {
		n = at
	}
	s.take(n)
}

func (s *scanner) token() token {
	switch c := s.src[0]; {
	case c == '\'':
		return s.single()
	case c == '"':
		return s.double()
	case c == '`':
		s.take(len(backticks.Find(s.src)))
		return token{kind: tokenComputed}
	case c == '$' && word.Match(s.src[1:]):
		return token{kind: tokenVariable, text: s.take(1 + len(word.Find(s.src[1:])))}
	case heredoc.Match(s.src):
		return s.heredoc()
	}
	if name := word.Find(s.src); name != nil {
		return token{kind: tokenName, text: strings.TrimPrefix(s.take(len(name)), `\`)}
	}
	if digits := number.Find(s.src); digits != nil {
		return token{kind: tokenNumber, text: s.take(len(digits))}
	}
	return token{kind: tokenOther, text: s.take(max(len(operator.Find(s.src)), 1))}
}

// single reads a string in single quotes, where only the quote and the backslash are escaped.
func (s *scanner) single() token {
	s.take(1)
	var b strings.Builder
	for i := 0; i < len(s.src); i++ {
		switch c := s.src[i]; {
		case c == '\'':
			s.take(i + 1)
			return token{kind: tokenText, text: b.String()}
		case c == '\\' && i+1 < len(s.src) && (s.src[i+1] == '\'' || s.src[i+1] == '\\'):
			i++
			b.WriteByte(s.src[i])
		default:
			b.WriteByte(c)
		}
	}
	s.take(len(s.src))
	return token{kind: tokenComputed} // the string is never closed
}

// heredoc reads text between two labels. A label in single quotes (nowdoc) has no escapes and no variables.
func (s *scanner) heredoc() token {
	found := heredoc.FindSubmatch(s.src)
	label, literal := string(bytes.Join(found[1:], nil)), found[2] != nil
	s.take(len(found[0]))
	closing := regexp.MustCompile(`(?:^|\r\n|[\r\n])([ \t]*)` + regexp.QuoteMeta(label) + `(?:[^A-Za-z0-9_\x80-\xff]|$)`)
	at := closing.FindSubmatchIndex(s.src)
	if at == nil {
		s.take(len(s.src))
		return token{kind: tokenComputed}
	}
	text, margin := string(s.src[:at[0]]), string(s.src[at[2]:at[3]])
	s.take(at[3] + len(label))
	text, whole := unindent(text, margin)
	if !literal {
		var computed bool
		text, computed = unescape(text)
		whole = whole && !computed
	}
	if !whole {
		return token{kind: tokenComputed}
	}
	return token{kind: tokenBlock, text: text}
}

// unindent removes the closing label's margin from each line. A line with less indentation is PHP's mistake to report.
func unindent(text, margin string) (string, bool) {
	if margin == "" {
		return text, true
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		rest, indented := strings.CutPrefix(line, margin)
		if !indented && strings.Trim(line, " \t\r") != "" {
			return "", false
		}
		lines[i] = rest
	}
	return strings.Join(lines, "\n"), true
}

// unescape returns the meaning of a heredoc's text, and whether PHP would insert a variable. A quote needs no escape there, so
// that a backslash before the quote stays.
func unescape(text string) (string, bool) {
	var b strings.Builder
	computed := false
	for src := []byte(text); len(src) > 0; {
		switch {
		case src[0] == '\\' && len(src) > 1 && src[1] == '"':
			b.WriteByte('\\')
			src = src[1:]
		case src[0] == '\\':
			src = src[escape(&b, src):]
		default:
			computed = computed || variable.Match(src)
			b.WriteByte(src[0])
			src = src[1:]
		}
	}
	return b.String(), computed
}

// simple are the escapes of a single letter in a string in double quotes.
var simple = map[byte]byte{
	'n': '\n', 't': '\t', 'r': '\r', 'v': '\v', 'e': 0x1b, 'f': '\f', '\\': '\\', '$': '$', '"': '"',
}

// The numeric escapes; any other escape stands for itself.
var (
	octal   = regexp.MustCompile(`^\\([0-7]{1,3})`)
	hex     = regexp.MustCompile(`^\\x([0-9A-Fa-f]{1,2})`)
	unicode = regexp.MustCompile(`^\\u\{([0-9A-Fa-f]{1,8})\}`)
	// variable is where PHP would insert a variable.
	variable = regexp.MustCompile(`^(?:\$[A-Za-z_\x80-\xff{]|\{\$)`)
)

// double reads a string in double quotes.
func (s *scanner) double() token {
	s.take(1)
	var b strings.Builder
	computed := false
	for i := 0; i < len(s.src); {
		switch c := s.src[i]; c {
		case '"':
			s.take(i + 1)
			if computed {
				return token{kind: tokenComputed}
			}
			return token{kind: tokenText, text: b.String()}
		case '\\':
			i += escape(&b, s.src[i:])
		default:
			computed = computed || variable.Match(s.src[i:])
			b.WriteByte(c)
			i++
		}
	}
	s.take(len(s.src))
	return token{kind: tokenComputed} // the string is never closed
}

// escape writes the meaning of an escape and returns the length of the escape.
func escape(b *strings.Builder, src []byte) int {
	if len(src) > 1 {
		if c, ok := simple[src[1]]; ok {
			b.WriteByte(c)
			return len(`\n`)
		}
	}
	if m := octal.FindSubmatch(src); m != nil {
		n, _ := strconv.ParseUint(string(m[1]), 8, 16) // digits, as matched
		b.WriteByte(byte(n))                           //nolint:gosec // PHP takes the low eight bits, too
		return len(m[0])
	}
	if m := hex.FindSubmatch(src); m != nil {
		n, _ := strconv.ParseUint(string(m[1]), 16, 8)
		b.WriteByte(byte(n))
		return len(m[0])
	}
	if m := unicode.FindSubmatch(src); m != nil {
		if n, err := strconv.ParseUint(string(m[1]), 16, 32); err == nil && n <= utf8.MaxRune {
			b.WriteRune(rune(n))
			return len(m[0])
		}
	}
	b.WriteByte('\\')
	return 1
}
