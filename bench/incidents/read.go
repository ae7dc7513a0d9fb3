package incidents

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
)

// ReadFile reads a whole log.
func ReadFile(path string) ([]Update, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the incident log: %w", err)
	}
	defer func() { _ = file.Close() }()
	return Read(file)
}

// Read reads a whole log, in its order. The error names the line and the column that cannot be read.
func Read(from io.Reader) ([]Update, error) {
	lines := csv.NewReader(from)
	lines.ReuseRecord = true
	header, err := lines.Read()
	if err != nil {
		return nil, fmt.Errorf("reading the incident log's header: %w", err)
	}
	p, err := newParser(header)
	if err != nil {
		return nil, err
	}
	var updates []Update
	for {
		line, err := lines.Read()
		if errors.Is(err, io.EOF) {
			return updates, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the incident log: %w", err)
		}
		update, err := p.update(line)
		if err != nil {
			number, _ := lines.FieldPos(0)
			return nil, fmt.Errorf("reading the incident log: line %d: %w", number, err)
		}
		updates = append(updates, update)
	}
}

// parser knows where the columns are.
type parser struct {
	ticket int
	fields []place
}

// place is one field's: its column in the log, its names there and in the table.
type place struct {
	at           int
	column, name string
	convert      func(string) (*string, error)
}

func newParser(header []string) (*parser, error) {
	p := &parser{ticket: slices.Index(header, ticketColumn)}
	if p.ticket < 0 {
		return nil, fmt.Errorf("reading the incident log: it has no column %s", ticketColumn)
	}
	add := func(column, name string) error {
		at := slices.Index(header, column)
		if at < 0 {
			return fmt.Errorf("reading the incident log: it has no column %s", column)
		}
		f := convert[column]
		if f == nil {
			f = value
		}
		p.fields = append(p.fields, place{at: at, column: column, name: name, convert: f})
		return nil
	}
	for column, name := range Columns {
		if err := add(column, name); err != nil {
			return nil, err
		}
	}
	for _, column := range Extra {
		if err := add(column, column); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *parser) update(line []string) (Update, error) {
	ticket, err := digits(line[p.ticket])
	if err != nil {
		return Update{}, fmt.Errorf("%s: %w", ticketColumn, err)
	}
	u := Update{Ticket: ticket, Fields: make(map[string]*string, len(p.fields))}
	for _, f := range p.fields {
		if u.Fields[f.name], err = f.convert(line[f.at]); err != nil {
			return Update{}, fmt.Errorf("%s: %w", f.column, err)
		}
	}
	return u, nil
}

// Last returns each ticket's last update: what a table must hold after all of them.
func Last(updates []Update) map[int64]Update {
	last := make(map[int64]Update)
	for _, u := range updates {
		last[u.Ticket] = u
	}
	return last
}
