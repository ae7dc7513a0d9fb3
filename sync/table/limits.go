package table

import (
	"fmt"
	"unicode/utf8"
)

// The widest that either database has of each limit.
const (
	mostBits      = 64
	mostPrecision = 255 // of FLOAT(M,D); DECIMAL has at most 65
	mostBinary    = 255 // bytes; more is VARBINARY
	mostBytes     = 1<<32 - 1
	mostMembers   = 64 // of a SET
	mostDepth     = 1000
)

// valid refuses limits that no table has, as a definition that was kept on disk may be damaged. The rules count on them.
func (c *Column) valid() error {
	least := 0
	if c.Kind == Integer || c.Kind == Bit {
		least = 1
	}
	for _, limit := range []struct {
		name           string
		n, least, most int
	}{
		{"bits", c.Bits, least, mostBits},
		{"precision", c.Precision, 0, mostPrecision},
		{"scale", c.Scale, 0, max(c.Precision, 0)},
		{"max_chars", c.MaxChars, 0, mostBytes},
		{"max_bytes", c.MaxBytes, 0, c.mostBytes()},
		{"digits", c.Digits, 0, microDigits},
		{"depth", c.Depth, 0, mostDepth},
		{"characters without an end", utf8.RuneCountInString(c.Characters) % 2, 0, 0},
	} {
		if limit.n < limit.least || limit.n > limit.most {
			return fmt.Errorf("%s is %d, not %d to %d", limit.name, limit.n, limit.least, limit.most)
		}
	}
	if c.Kind == Float && c.Bits != 32 && c.Bits != 64 {
		return fmt.Errorf("a float of %d bits", c.Bits)
	}
	if c.Kind == Set && len(c.Members) > mostMembers {
		return fmt.Errorf("a set of %d members, more than %d", len(c.Members), mostMembers)
	}
	return nil
}

// mostBytes is what a value may be filled up to or hold.
func (c *Column) mostBytes() int {
	if c.Kind == Binary {
		return mostBinary
	}
	return mostBytes
}
