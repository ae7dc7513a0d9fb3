package mysql

import (
	"context"
	"slices"
	"unicode/utf8"
)

// wholeUnicode are the character sets that have every character.
var wholeUnicode = []string{"utf8mb4", "utf16", "utf16le", "utf32", "gb18030"}

// knownAtTheDoor are those of which the door knows the characters.
var knownAtTheDoor = []string{"ascii", "latin1", "utf8", "utf8mb3", "ucs2"}

// learnCharacters notes which characters the columns' character sets have, as the door must refuse the others. The server is
// asked once for each character set, as it has its own tables for them.
func (db *DB) learnCharacters(ctx context.Context, columns []described) error {
	for i := range columns {
		name := columns[i].charset.String
		if name == "" || slices.Contains(wholeUnicode, name) || slices.Contains(knownAtTheDoor, name) {
			continue
		}
		known, there := db.characters.Load(name)
		if !there {
			ranges, err := db.askCharacters(ctx, name)
			if err != nil {
				return err
			}
			known, _ = db.characters.LoadOrStore(name, ranges)
		}
		columns[i].characters, _ = known.(string)
	}
	return nil
}

// askCharacters returns the ranges of characters, each as its first and its last, that a character set has: those which come back
// from it as they were. None that is not of Unicode's first plane is in any but [wholeUnicode].
func (db *DB) askCharacters(ctx context.Context, charset string) (string, error) {
	const (
		end  = 0x10000
		step = 0x1000 // some 12 kB a query
	)
	var ranges []rune
	for from := rune(0); from < end; from += step {
		asked := make([]rune, 0, step)
		for r := from; r < from+step; r++ {
			if utf8.ValidRune(r) {
				asked = append(asked, r)
			}
		}
		var answer string
		query := "SELECT CONVERT(CONVERT(? USING " + quote(charset) + ") USING utf8mb4)"
		if err := db.pool.QueryRowContext(ctx, query, string(asked)).Scan(&answer); err != nil {
			return "", err
		}
		held := []rune(answer)
		if len(held) != len(asked) { // not one for one: the database alone can tell
			return "", nil
		}
		for i, r := range asked {
			switch last := len(ranges) - 1; {
			case held[i] != r:
			case last > 0 && ranges[last] == r-1:
				ranges[last] = r
			default:
				ranges = append(ranges, r, r)
			}
		}
	}
	return string(ranges), nil
}
