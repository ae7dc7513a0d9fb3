package table

import (
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/ticket"
)

// checkJSON judges JSON columns, also MariaDB's, which are text with a json_valid constraint.
func (c *Column) checkJSON(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	switch {
	case !utf8.ValidString(s):
		return c.refuse(RuleEncoding, "not valid UTF-8")
	case !json.Valid([]byte(s)) || loneSurrogate(s):
		return c.refuse(RuleJSON, "not valid JSON")
	case nesting(s) > c.Depth:
		return c.refuse(RuleJSON, "nested too deeply; the column takes at most %d levels", c.Depth)
	}
	return v, nil
}

// nesting returns how deeply the arrays and objects of valid JSON are nested.
func nesting(s string) int {
	deepest, depth, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[' || b == '{':
			depth++
			deepest = max(deepest, depth)
		case b == ']' || b == '}':
			depth--
		}
	}
	return deepest
}

// loneSurrogate finds half of a \u pair in valid JSON. RFC 8259 lets it stand, both databases refuse it.
func loneSurrogate(s string) bool {
	for {
		at := strings.IndexByte(s, '\\')
		if at < 0 {
			return false
		}
		s = s[at:]
		first, ok := escaped(s)
		if !ok || first < 0xD800 || first > 0xDFFF {
			s = s[2:]
			continue
		}
		second, ok := escaped(s[6:])
		if first > 0xDBFF || !ok || second < 0xDC00 || second > 0xDFFF {
			return true
		}
		s = s[12:]
	}
}

// escaped reads the \uXXXX at the beginning of s, if there is one.
func escaped(s string) (uint64, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return n, err == nil
}
