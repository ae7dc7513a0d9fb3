package protocol

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// ReplyBytes returns the most bytes that the frame of a reply takes, so that a caller can reserve room before building the
// frame. The bound exceeds the size by some dozen bytes for each ticket and field. Results that are always small count as 0.
func ReplyBytes(r Result) int {
	n, _ := extentOf(r)
	return n
}

// Upper bounds of the bytes around the texts on the wire.
const (
	headBytes    = 64  // of any reply
	ticketBytes  = 192 // id, revision, marks and numbers with names
	pairBytes    = 16  // of a field: the heads of two strings, or of a string and a number
	outcomeBytes = 256 // of a refused pair: keys and flags of the error
	messageBytes = 2 << 10
)

// extentOf returns the most and the least bytes of a reply; the least counts only the texts.
func extentOf(r Result) (most, least int) {
	switch r := r.(type) {
	case *Ticket:
		most, least = ofTicket(r)
	case *GetManyResult:
		most, least = ofTickets(r.Tickets)
	case *ListResult:
		most, least = ofTickets(r.Tickets)
		most += len(r.Next)
	case *DeadListResult:
		for i := range r.Letters {
			m, l := ofFields(r.Letters[i].Fields)
			most, least = most+m+ticketBytes+len(r.Letters[i].Reason), least+l
		}
	case *FeedReadResult:
		for i := range r.Events {
			most += r.Events[i].Bytes()
		}
	case *SetManyResult:
		for i := range r.Outcomes {
			most += pairBytes
			if failure := r.Outcomes[i].Err; failure != nil {
				most += outcomeBytes + min(len(failure.Message)+len(failure.Field), messageBytes)
			}
		}
	default:
		return 0, 0
	}
	return most + headBytes, least
}

func ofTickets(tickets []*Ticket) (most, least int) {
	for _, t := range tickets {
		most++
		if t != nil {
			m, l := ofTicket(t)
			most, least = most+m, least+l
		}
	}
	return most, least
}

func ofTicket(t *Ticket) (most, least int) {
	most, least = ofFields(t.Fields)
	return most + ticketBytes, least
}

func ofFields(fields []Field) (most, least int) {
	for i := range fields {
		least += len(fields[i].Name) + len(fields[i].Value.Text())
	}
	return least + len(fields)*pairBytes, least
}

// PageBytes bounds the tickets or letters of a page in a reply.
const PageBytes = MaxPayload - MaxCursor - headBytes

// Bytes returns the most bytes that the ticket takes in a reply.
func (t *Ticket) Bytes() int {
	most, _ := ofTicket(t)
	return most
}

// CutTo shortens the ticket to at most this many bytes in a reply; see [Ticket].Cut.
func (t *Ticket) CutTo(bytes int) {
	fields, is := cutFields(t.Fields, bytes-ticketBytes)
	t.Fields, t.Cut = fields, t.Cut || is
}

// Bytes returns the most bytes that the letter takes in a reply.
func (l *Letter) Bytes() int {
	most, _ := ofFields(l.Fields)
	return most + ticketBytes + min(len(l.Reason), maxReason)
}

// CutTo shortens the letter to at most this many bytes in a reply; see [Letter].Cut.
func (l *Letter) CutTo(bytes int) {
	fields, is := cutFields(l.Fields, bytes-ticketBytes-min(len(l.Reason), maxReason))
	l.Fields, l.Cut = fields, l.Cut || is
}

// cutFields shortens the longest values first, and leaves fields out if the names alone are too long.
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
			text = strings.Clone(beginning) // a slice would keep the whole text in memory
			fields[i].Value = Text(text)
		}
		if bytes -= len(fields[i].Name) + pairBytes + len(text); bytes < 0 {
			return fields[:i], true
		}
	}
	return fields, true
}
