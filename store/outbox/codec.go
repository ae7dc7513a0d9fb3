package outbox

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal/record"
)

// The kinds of the journal's records; a record's first byte is its kind. A new format of a record gets a new kind. The records of
// the journal without Redis begin with 1, which is no kind here.
const (
	recordMutation  = 0x20
	recordConfirmed = 0x21
	recordReplaced  = 0x2a
)

// entry is a change in the journal.
type entry struct {
	// sequence grows from record to record and across restarts: sequence and the journal's id name the entry for ever. sequence is
	// below 2^53, so that Redis' scripts compare exactly.
	sequence uint64
	revision ticket.Revision
	mutation store.Mutation
}

// encode writes an entry as a record: its kind, the sequence number, how long its request id is remembered in ms, and the
// mutation with its revision.
func (e *entry) encode() []byte {
	w := make(record.Writer, 0, 64+len(e.mutation.RequestID)+32*len(e.mutation.Fields))
	w.Byte(recordMutation)
	w.Int(int64(e.sequence)) //nolint:gosec // below 2^53
	w.Int(e.mutation.Remember.Milliseconds())
	w.Mutation(&e.mutation, e.revision)
	return w
}

// confirmed says that all entries up to a sequence number have arrived, for the tickets in partition number partition of
// partitions.
type confirmed struct {
	upTo                  uint64
	partitions, partition int
	// last is the sequence number of the newest entry of all partitions. The record of another partition with this number may be in
	// a segment that was removed; and the next store would skip an entry with a number that is used twice.
	last uint64
}

// encode writes a confirmation: its kind and the sequence number; with several partitions also the number of partitions, the
// partition, and the newest sequence number.
func (c confirmed) encode() []byte {
	w := record.Writer{recordConfirmed}
	w.Int(int64(c.upTo)) //nolint:gosec // below 2^53
	if c.partitions > 1 {
		w.Count(c.partitions)
		w.Count(c.partition)
		w.Int(int64(c.last)) //nolint:gosec // below 2^53
	}
	return w
}

var errRecord = errors.New("a record of the journal is not what this version writes")

// decode reads an entry's record.
func decode(b []byte) (e entry, err error) {
	r := record.NewReader(b)
	kind, sequence, remember := r.Byte(), r.Int(), r.Int()
	e.sequence = uint64(sequence) //nolint:gosec // checked below
	e.mutation.Remember = time.Duration(remember) * time.Millisecond
	e.revision = r.Mutation(&e.mutation)
	possible := remember >= 0 && remember <= math.MaxInt64/int64(time.Millisecond)
	if !r.Done() || kind != recordMutation || sequence <= 0 || e.revision <= 0 || !possible {
		return e, fmt.Errorf("%w: kind %#x, entry %d, revision %d, %d bytes", errRecord, kind, sequence, e.revision, len(b))
	}
	return e, nil
}

// replaced announces that the following entries, under the next sequence numbers, replace all earlier entries of a ticket: behind
// the other tickets' entries or, if to differs from from, under a new id. The replacement counts if all of its entries can be
// read; if a crash kept only some, the earlier entries count.
type replaced struct {
	from, to ticket.ID
	// upTo is the newest sequence number before the first of the entries.
	upTo  uint64
	count int
	at    time.Time
}

// encode writes a replacement: its kind, the two ids, the sequence number, the count, and the time.
func (r *replaced) encode() []byte {
	w := record.Writer{recordReplaced}
	w.Int(int64(r.from))
	w.Int(int64(r.to))
	w.Int(int64(r.upTo)) //nolint:gosec // below 2^53
	w.Count(r.count)
	w.Time(r.at)
	return w
}
