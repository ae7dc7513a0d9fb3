package wpconfig

import (
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// simple are the escapes of one letter in a string in double quotes.
var simple = map[byte]byte{
	'n': '\n', 't': '\t', 'r': '\r', 'v': '\v', 'e': 0x1b, 'f': '\f', '\\': '\\', '$': '$', '"': '"',
}

// The escapes that give a number; what looks like none of these stands for itself.
var (
	octal   = regexp.MustCompile(`^\\([0-7]{1,3})`)
	hex     = regexp.MustCompile(`^\\x([0-9A-Fa-f]{1,2})`)
	unicode = regexp.MustCompile(`^\\u\{([0-9A-Fa-f]{1,8})\}`)
	// variable is where PHP would put one in.
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
	return token{kind: tokenComputed} // it is never closed
}

// escape writes what an escape stands for and returns its length.
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
