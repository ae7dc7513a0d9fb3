package mysql

import "strings"

// shape is the answer to SHOW CREATE TABLE, line by line. The server writes the text in a standard form, so that the lines of
// two tables can be compared without a parser.
type shape struct {
	columns, indexes []part
}

// part is a column or an index.
type part struct {
	name string
	line string // the definition, without the comma
}

func shapeOf(createTable string) shape {
	var s shape
	for line := range strings.Lines(createTable) {
		line = strings.TrimSuffix(strings.TrimSpace(line), ",")
		before, rest, quoted := strings.Cut(line, "`")
		name, _, _ := strings.Cut(rest, "`")
		switch {
		case !quoted:
		case before == "":
			s.columns = append(s.columns, part{name, line})
		case before == "KEY " || before == "UNIQUE KEY ":
			s.indexes = append(s.indexes, part{name, line})
		}
	}
	return s
}

// hasColumn ignores case, as the databases do.
func (s shape) hasColumn(name string) bool {
	for _, c := range s.columns {
		if strings.EqualFold(c.name, name) {
			return true
		}
	}
	return false
}

// hasIndex says whether the table has an index of that name, or an index of the same columns under another name.
func (s shape) hasIndex(want part) bool {
	for _, i := range s.indexes {
		if strings.EqualFold(i.name, want.name) || i.columns() == want.columns() {
			return true
		}
	}
	return false
}

// columns is the list in parentheses.
func (p part) columns() string {
	if at := strings.Index(p.line, "("); at >= 0 {
		return p.line[at:]
	}
	return ""
}
