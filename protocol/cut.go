package protocol

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// PageBytes is what the tickets or letters of one page may take in a reply.
const PageBytes = MaxPayload - MaxCursor - headBytes

// Bytes is what the ticket takes in a reply at most.
func (t *Ticket) Bytes() int {
	most, _ := ofTicket(t)
	return most
}

// CutTo makes the ticket take no more bytes in a reply than these, see [Ticket].Cut.
func (t *Ticket) CutTo(bytes int) {
	fields, is := cutFields(t.Fields, bytes-ticketBytes)
	t.Fields, t.Cut = fields, t.Cut || is
}

// Bytes is what the letter takes in a reply at most.
func (l *Letter) Bytes() int {
	most, _ := ofFields(l.Fields)
	return most + ticketBytes + min(len(l.Reason), maxReason)
}

// CutTo makes the letter take no more bytes in a reply than these, see [Letter].Cut.
func (l *Letter) CutTo(bytes int) {
	fields, is := cutFields(l.Fields, bytes-ticketBytes-min(len(l.Reason), maxReason))
	l.Fields, l.Cut = fields, l.Cut || is
}

// cutFields shortens the longest values first, and leaves fields out where even their names are too much.
func cutFields(fields []Field, bytes int) ([]Field, bool) {
	if most, _ := ofFields(fields); most <= bytes {
		return fields, false
	}
	fields = slices.Clone(fields)
	longest := bytes
	for ; longest > 0; longest /= 2 {
		sum := 0
		for i := range fields {
			sum += len(fields[i].Name) + pairBytes + min(len(fields[i].Value.Text()), longest)
		}
		if sum <= bytes {
			break
		}
	}
	for i := range fields {
		text := fields[i].Value.Text()
		if len(text) > longest {
			beginning := text[:longest]
			if utf8.ValidString(text) {
				beginning = cut(text, longest)
			}
			text = strings.Clone(beginning) // the whole must not stay in memory with its beginning
			fields[i].Value = Text(text)
		}
		if bytes -= len(fields[i].Name) + pairBytes + len(text); bytes < 0 {
			return fields[:i], true
		}
	}
	return fields, true
}
