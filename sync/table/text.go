package table

import (
	"sort"
	"strings"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/ticket"
)

// checkChars judges CHAR and VARCHAR, whose limit counts characters. Spaces beyond the limit are cut by the database
// without an error, also in strict mode; CHAR loses all trailing spaces when it is read.
func (c *Column) checkChars(v ticket.Value) (ticket.Value, error) {
	if v, err := c.checkEncoding(v); err != nil {
		return v, err
	}
	s := v.Text()
	if c.Kind == Char && strings.HasSuffix(s, " ") {
		s = strings.TrimRight(s, " ")
		v = ticket.Text(s)
	}
	if len(s) <= c.MaxChars { // no string has more characters than bytes
		return v, nil
	}
	n := utf8.RuneCountInString(s)
	if n <= c.MaxChars {
		return v, nil
	}
	trimmed := strings.TrimRight(s, " ")
	if n-(len(s)-len(trimmed)) > c.MaxChars {
		return c.refuse(RuleLength, "%d characters; the column takes at most %d", n, c.MaxChars)
	}
	return ticket.Text(s[:len(s)-(n-c.MaxChars)]), nil
}

// checkText judges the TEXT types, whose limit counts bytes; spaces beyond it are cut.
func (c *Column) checkText(v ticket.Value) (ticket.Value, error) {
	if v, err := c.checkEncoding(v); err != nil {
		return v, err
	}
	s := v.Text()
	if len(s) <= c.MaxBytes {
		return v, nil
	}
	if len(strings.TrimRight(s, " ")) > c.MaxBytes {
		return c.refuse(RuleLength, "%d bytes; the column takes at most %d", len(s), c.MaxBytes)
	}
	return ticket.Text(s[:c.MaxBytes]), nil
}

// checkBytes judges the types without a character set. BINARY is read back padded with zero bytes.
func (c *Column) checkBytes(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if len(s) > c.MaxBytes {
		return c.refuse(RuleLength, "%d bytes; the column takes at most %d", len(s), c.MaxBytes)
	}
	if c.Kind == Binary && len(s) < c.MaxBytes {
		return ticket.Text(s + strings.Repeat("\x00", c.MaxBytes-len(s))), nil
	}
	return v, nil
}

// checkEncoding refuses what is not UTF-8 and what the column's character set has no code for.
func (c *Column) checkEncoding(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if ascii(s) && (c.Characters == "" || c.has(0, utf8.RuneSelf-1)) {
		return v, nil
	}
	if !utf8.ValidString(s) {
		return c.refuse(RuleEncoding, "not valid UTF-8")
	}
	for _, r := range s {
		switch {
		case c.encodes(r):
		case r > 0xFFFF:
			return c.refuse(RuleEncoding,
				"holds a character of four bytes (such as an emoji), and the column's character set is %s", c.Charset)
		default:
			return c.refuse(RuleEncoding, "holds a character that the column's character set %s lacks", c.Charset)
		}
	}
	return v, nil
}

// encodes says whether the column's character set has a code for the character.
func (c *Column) encodes(r rune) bool {
	switch c.Charset {
	case "ascii":
		return r < utf8.RuneSelf
	case "utf8mb3", "utf8", "ucs2":
		return r <= 0xFFFF
	case "latin1":
		switch {
		case r > 0xFF:
			return strings.ContainsRune(windows1252, r)
		case 0x80 <= r && r < 0xA0:
			return strings.ContainsRune(controls1252, r)
		default:
			return true
		}
	default:
		return c.Characters == "" || c.has(r, r)
	}
}

// has says whether one range of the column's characters holds all from first to last.
func (c *Column) has(first, last rune) bool {
	n := sort.Search(len(c.ranges)/2, func(i int) bool { return c.ranges[2*i+1] >= first })
	return 2*n < len(c.ranges) && c.ranges[2*n] <= first && last <= c.ranges[2*n+1]
}

// windows1252 are the characters above U+00FF that the databases' latin1 has: it is Windows-1252 in truth.
const windows1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"

// controls1252 are the characters from U+0080 to U+009F that it has: the codes of the others are those of windows1252.
const controls1252 = "\u0081\u008d\u008f\u0090\u009d"

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
