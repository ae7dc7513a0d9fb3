package mysql

import "strings"

// shape is what SHOW CREATE TABLE says, line by line. The server has brought the text to one form, so that the lines
// of two tables can be compared without understanding them.
type shape struct {
	columns, indexes []part
}

// part is one column or index.
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

// hasColumn compares as the databases do, without regard to case.
func (s shape) hasColumn(name string) bool {
	for _, c := range s.columns {
		if strings.EqualFold(c.name, name) {
			return true
		}
	}
	return false
}

// hasIndex says whether there is an index of that name, or one of the same columns under another.
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
