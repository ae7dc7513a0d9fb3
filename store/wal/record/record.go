// Package record writes and reads binary records, for the journal and the outbox. Numbers are varints, a text follows its length,
// times are µs since 1970.
package record

import (
	"encoding/binary"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Writer builds a record.
type Writer []byte

// Byte appends a byte.
func (w *Writer) Byte(b byte) { *w = append(*w, b) }

// Int appends a number.
func (w *Writer) Int(n int64) { *w = binary.AppendVarint(*w, n) }

// Count appends the number of items that follow.
func (w *Writer) Count(n int) { w.Int(int64(n)) }

// Bool appends a truth value.
func (w *Writer) Bool(b bool) {
	if b {
		w.Byte(1)
	} else {
		w.Byte(0)
	}
}

// Text appends a text.
func (w *Writer) Text(s string) {
	w.Count(len(s))
	*w = append(*w, s...)
}

// Bytes appends bytes whose number the reader knows.
func (w *Writer) Bytes(b []byte) { *w = append(*w, b...) }

// Time appends a time.
func (w *Writer) Time(t time.Time) { w.Int(t.UnixMicro()) }

// Value appends a field's value.
func (w *Writer) Value(v ticket.Value) {
	w.Bool(!v.IsNull())
	if !v.IsNull() {
		w.Text(v.Text())
	}
}

// Flags in the byte of a mutation's kind. Records of earlier versions have no flags.
const (
	hasDefaults = 0x80 // the number of defaults follows
	hasAt       = 0x10 // then when the mutation was accepted by the host's clock
	hasAccepted = 0x20 // then when it was acknowledged before
	hasDigest   = 0x40 // the digest follows the request id
	hasOrigin   = 0x08 // who made the mutation, and through which part of the client, follow the fields
)

// Mutation appends a mutation and its revision, without the conditions and Early, which are decided by then. The caller writes
// how long the request id is remembered.
func (w *Writer) Mutation(m *store.Mutation, revision ticket.Revision) {
	kind := byte(m.Kind)
	if m.Defaults > 0 {
		kind |= hasDefaults
	}
	if m.At != 0 {
		kind |= hasAt
	}
	if m.Accepted != 0 {
		kind |= hasAccepted
	}
	if m.Digest != "" {
		kind |= hasDigest
	}
	if m.By != "" || m.Via != "" {
		kind |= hasOrigin
	}
	w.Byte(kind)
	if m.Defaults > 0 {
		w.Count(m.Defaults)
	}
	if m.At != 0 {
		w.Int(int64(m.At))
	}
	if m.Accepted != 0 {
		w.Int(int64(m.Accepted))
	}
	w.Int(int64(m.ID))
	w.Int(int64(revision))
	w.Int(int64(m.Proposed))
	w.Time(m.Due)
	w.Text(m.RequestID)
	if m.Digest != "" {
		w.Text(m.Digest)
	}
	w.Count(len(m.Fields))
	for _, f := range m.Fields {
		w.Text(f.Name)
		w.Value(f.Value)
	}
	if m.By != "" || m.Via != "" {
		w.Text(m.By)
		w.Text(m.Via)
	}
}

// Reader reads a record's parts. After an impossible value the record is bad and all further reads return zero.
type Reader struct {
	rest []byte
	bad  bool
}

// NewReader reads data, which stays the caller's: the results are copies.
func NewReader(data []byte) *Reader { return &Reader{rest: data} }

// Done says whether the record was read to its end without a bad value.
func (r *Reader) Done() bool { return !r.bad && len(r.rest) == 0 }

// Left counts the unread bytes.
func (r *Reader) Left() int { return len(r.rest) }

// Fail makes the record bad.
func (r *Reader) Fail() { r.bad, r.rest = true, nil }

// Int reads a number.
func (r *Reader) Int() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.Fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

// Byte reads a byte.
func (r *Reader) Byte() byte {
	if len(r.rest) == 0 {
		r.Fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// Bool reads a truth value.
func (r *Reader) Bool() bool {
	b := r.Byte()
	if b > 1 {
		r.Fail()
	}
	return b == 1
}

// Text reads a text.
func (r *Reader) Text() string {
	n := r.Count(1)
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// Count reads the number of items that follow, each of at least size bytes: a number that the rest of the record can hold.
func (r *Reader) Count(size int) int {
	n := r.Int()
	if n < 0 || n > int64(len(r.rest)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Bytes fills b.
func (r *Reader) Bytes(b []byte) {
	if len(r.rest) < len(b) {
		r.Fail()
		return
	}
	r.rest = r.rest[copy(b, r.rest):]
}

// ID reads a ticket's id.
func (r *Reader) ID() ticket.ID {
	id := ticket.ID(r.Int())
	if !id.Valid() {
		r.Fail()
	}
	return id
}

// Revision reads a revision. Earlier versions accepted and wrote impossible revisions: such a number reads as a very late
// revision, so that the changes under the number stay the newest, with room for later revisions.
func (r *Reader) Revision() ticket.Revision {
	n := ticket.Revision(r.Int())
	if n < 0 || n > ticket.Ceiling {
		return ticket.Ceiling - 1<<49
	}
	return n
}

// Time reads a time.
func (r *Reader) Time() time.Time { return time.UnixMicro(r.Int()) }

// Value reads a field's value.
func (r *Reader) Value() ticket.Value {
	if r.Bool() {
		return ticket.Text(r.Text())
	}
	return ticket.Null
}

// Mutation reads a mutation and its revision.
func (r *Reader) Mutation(m *store.Mutation) (revision ticket.Revision) {
	kind := r.Byte()
	m.Kind = store.Kind(kind &^ (hasDefaults | hasAt | hasAccepted | hasDigest | hasOrigin))
	if kind&hasDefaults != 0 {
		m.Defaults = r.Count(1)
	}
	if kind&hasAt != 0 {
		if m.At = r.Revision(); m.At == 0 { // the writer leaves a zero out
			r.Fail()
		}
	}
	if kind&hasAccepted != 0 {
		m.Accepted = r.Revision()
	}
	if m.Kind < store.Create || m.Kind > store.Begin {
		r.Fail()
	}
	m.ID, revision, m.Proposed, m.Due, m.RequestID = r.ID(), r.Revision(), r.Revision(), r.Time(), r.Text()
	if kind&hasDigest != 0 {
		if m.Digest = r.Text(); m.Digest == "" { // the writer leaves an empty digest out
			r.Fail()
		}
	}
	for range r.Count(2) {
		m.Fields = append(m.Fields, ticket.Field{Name: r.Text(), Value: r.Value()})
	}
	if kind&hasOrigin != 0 {
		if m.By, m.Via = r.Text(), r.Text(); m.By == "" && m.Via == "" { // the writer leaves empty texts out
			r.Fail()
		}
	}
	if m.Defaults > len(m.Fields) {
		r.Fail()
	}
	return revision
}
