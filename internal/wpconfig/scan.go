package wpconfig

import (
	"bytes"
	"regexp"
	"strings"
)

// kind is what a token is.
type kind int

const (
	tokenEnd      kind = iota
	tokenName          // define, true, MYSQLI_CLIENT_SSL; without the case that PHP ignores
	tokenVariable      // $table_prefix, with the dollar sign
	tokenText          // a string that is its own value
	tokenComputed      // a string that PHP puts together: with variables in it, or run by a shell
	tokenOther         // a number, or a byte of punctuation
)

// token is one piece of PHP.
type token struct {
	kind kind
	text string
	line int
}

func (t *token) is(text string) bool { return t.kind == tokenOther && t.text == text }

// scanner takes PHP apart. What is not closed ends with the file, as an editor would show it.
type scanner struct {
	src  []byte
	line int
}

var (
	openTag = regexp.MustCompile(`(?i)<\?php(?:[ \t\r\n]|$)|<\?=`)
	word    = regexp.MustCompile(`^[A-Za-z_\x80-\xff\\][A-Za-z0-9_\x80-\xff\\]*`)
	// backticks are a command for a shell, up to the end of the file where it is not closed.
	backticks = regexp.MustCompile("(?s)^`(?:[^`\\\\]|\\\\.)*`?")
	number    = regexp.MustCompile(`^[0-9][0-9A-Za-z_]*`)
	heredoc   = regexp.MustCompile(`^<<<[ \t]*(?:"([A-Za-z_][A-Za-z0-9_]*)"|'([A-Za-z_][A-Za-z0-9_]*)'|([A-Za-z_][A-Za-z0-9_]*))` +
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
	n := len(s.src)
	for _, end := range []string{"\n", "\r", "?>"} {
		if at := bytes.Index(s.src, []byte(end)); at >= 0 {
			n = min(n, at)
		}
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
	n := max(len(number.Find(s.src)), 1)
	return token{kind: tokenOther, text: s.take(n)}
}

// single reads a string in single quotes: only the quote and the backslash are escaped there.
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
	return token{kind: tokenComputed} // it is never closed
}

// heredoc moves over text between two labels. Nobody writes a password that way, so its value is left open.
func (s *scanner) heredoc() token {
	found := heredoc.FindSubmatch(s.src)
	label := string(bytes.Join(found[1:], nil))
	s.take(len(found[0]))
	closing := regexp.MustCompile(`(?:^|[\r\n])[ \t]*` + regexp.QuoteMeta(label) + `\b`)
	if at := closing.FindIndex(s.src); at != nil {
		s.take(at[1])
	} else {
		s.take(len(s.src))
	}
	return token{kind: tokenComputed}
}
