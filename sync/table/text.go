package table

import (
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

// checkEncoding refuses what is not UTF-8 and what the column's character set has no code for. Character sets that are
// not named here are left to the database.
func (c *Column) checkEncoding(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if ascii(s) {
		return v, nil
	}
	if !utf8.ValidString(s) {
		return c.refuse(RuleEncoding, "not valid UTF-8")
	}
	switch c.Charset {
	case "ascii":
		return c.refuse(RuleEncoding, "the column takes ASCII alone")
	case "utf8mb3", "utf8":
		for _, r := range s {
			if r > 0xFFFF {
				return c.refuse(RuleEncoding,
					"holds a character of four bytes (such as an emoji), and the column's character set is utf8mb3")
			}
		}
	case "latin1":
		for _, r := range s {
			if r > 0xFF && !strings.ContainsRune(windows1252, r) || 0x80 <= r && r < 0xA0 && !strings.ContainsRune(controls1252, r) {
				return c.refuse(RuleEncoding, "holds a character that the column's character set latin1 lacks")
			}
		}
	}
	return v, nil
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
