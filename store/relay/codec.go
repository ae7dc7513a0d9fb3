package relay

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// The kinds of the journal's records, each the record's first byte. Another format of a record is another kind.
const (
	recordMutation  = 1
	recordConfirmed = 2
)

// entry is one change in the journal.
type entry struct {
	// sequence grows by one from record to record, and across restarts: together with the journal's id it names the entry for
	// ever. It is below 2^53, which Redis' scripts can compare exactly.
	sequence uint64
	revision ticket.Revision
	mutation store.Mutation
}

// encode writes an entry as a record: its kind, the mutation's kind, the sequence number, then as varints id, revision,
// proposal, due time in ms, and how long its request id is remembered in ms, then the request id, the number of fields, and
// of each its name, whether it has a value, and that value. Text is preceded by its length.
func (e *entry) encode() []byte {
	m := &e.mutation
	b := make([]byte, 0, 64+len(m.RequestID)+32*len(m.Fields))
	b = append(b, recordMutation, byte(m.Kind))
	b = binary.AppendUvarint(b, e.sequence)
	for _, n := range []int64{
		int64(m.ID), int64(e.revision), int64(m.Proposed), m.Due.UnixMilli(), m.Remember.Milliseconds(),
	} {
		b = binary.AppendVarint(b, n)
	}
	b = appendText(b, m.RequestID)
	b = binary.AppendUvarint(b, uint64(len(m.Fields)))
	for _, f := range m.Fields {
		b = appendText(b, f.Name)
		if f.Value.IsNull() {
			b = append(b, 0)
			continue
		}
		b = append(b, 1)
		b = appendText(b, f.Value.Text())
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// confirmed says that everything up to a sequence number has arrived, of those tickets that were in one of so many partitions.
type confirmed struct {
	upTo                  uint64
	partitions, partition int
	// last is the sequence number of the newest entry of all partitions: the record of another partition that would tell may be in
	// a segment that is given back, and a number that is used twice would be passed over by the next store.
	last uint64
}

// encode writes a confirmation: its kind, and the sequence number; where there are several partitions, then their number, which it
// is, and the newest sequence number.
func (c confirmed) encode() []byte {
	b := binary.AppendUvarint([]byte{recordConfirmed}, c.upTo)
	if c.partitions == 1 {
		return b
	}
	b = binary.AppendUvarint(b, uint64(c.partitions)) //nolint:gosec // a small number
	b = binary.AppendUvarint(b, uint64(c.partition))  //nolint:gosec // a small number
	return binary.AppendUvarint(b, c.last)
}

// decodeConfirmed reads what encode wrote, after the kind of the record.
func decodeConfirmed(b []byte) (confirmed, error) {
	r := reader{rest: b}
	c := confirmed{upTo: r.unsigned(), partitions: 1}
	if len(r.rest) > 0 {
		c.partitions, c.partition = int(r.unsigned()), int(r.unsigned()) //nolint:gosec // checked below
		c.last = r.unsigned()
	}
	c.last = max(c.last, c.upTo)
	if r.failed || len(r.rest) > 0 || c.partitions < 1 || c.partition < 0 || c.partition >= c.partitions {
		return c, fmt.Errorf("%w: a confirmation of %d in partition %d of %d", errRecord, c.upTo, c.partition, c.partitions)
	}
	return c, nil
}

var errRecord = errors.New("a record of the journal is not what this version writes")

// decode reads what encode wrote, after the kind of the record.
func decode(b []byte) (entry, error) {
	r := reader{rest: b}
	var e entry
	m := &e.mutation
	m.Kind = store.Kind(r.byte())
	e.sequence = r.unsigned()
	m.ID = ticket.ID(r.number())
	e.revision = ticket.Revision(r.number())
	m.Proposed = ticket.Revision(r.number())
	m.Due = time.UnixMilli(r.number())
	m.Remember = time.Duration(r.number()) * time.Millisecond
	m.RequestID = r.text()
	for range r.count() {
		f := ticket.Field{Name: r.text(), Value: ticket.Null}
		if r.byte() == 1 {
			f.Value = ticket.Text(r.text())
		}
		m.Fields = append(m.Fields, f)
	}
	switch {
	case r.failed || len(r.rest) > 0:
		return e, fmt.Errorf("%w: it ends too early or too late", errRecord)
	case m.Kind < store.Create || m.Kind > store.Delete || !m.ID.Valid() || e.revision <= 0 || e.sequence == 0:
		return e, fmt.Errorf("%w: entry %d: kind %d, ticket %d, revision %d", errRecord, e.sequence, m.Kind, m.ID, e.revision)
	}
	return e, nil
}

// reader takes a record apart; after the first thing that is not there all else is zero.
type reader struct {
	rest   []byte
	failed bool
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.failed = true
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) number() int64 {
	n, size := binary.Varint(r.rest)
	r.skip(size)
	return n
}

func (r *reader) unsigned() uint64 {
	n, size := binary.Uvarint(r.rest)
	r.skip(size)
	return n
}

func (r *reader) skip(size int) {
	if size <= 0 {
		r.failed, r.rest = true, nil
		return
	}
	r.rest = r.rest[size:]
}

// count reads how many fields follow; each takes two bytes at least.
func (r *reader) count() int {
	n := r.unsigned()
	if n > uint64(len(r.rest)/2) {
		r.failed, r.rest = true, nil
		return 0
	}
	return int(n) //nolint:gosec // bounded by the record's length
}

func (r *reader) text() string {
	n := r.unsigned()
	if n > uint64(len(r.rest)) {
		r.failed, r.rest = true, nil
		return ""
	}
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}
