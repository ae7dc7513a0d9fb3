package journal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"math"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/graves"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/requests"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/store/wal/record"
)

// format is the first byte of every record; the second byte is the record's kind.
const format = 1

// kind is the kind of a record. The numbers are on disk.
type kind byte

const (
	kindMutation    kind = iota + 1 // an accepted mutation, and its outcome
	kindAck                         // receipts
	kindPark                        // dead letters
	kindRetry                       // dead letters put back into the queue
	kindDrop                        // dead letters given up
	kindOldState                    // a dirty ticket, written once more by a version that knew no Born and Created
	kindOldRequests                 // remembered request ids, written once more, as texts: read, but no longer written
	kindMark                        // the highest revision, written once more
)

const (
	kindState    kind = iota + 16 // a dirty ticket, written once more
	kindGraves                    // buckets of tombstones, noted or written once more
	kindRequests                  // remembered requests, written once more, by the keys of the ids; formerly kindOldRequests

	// Of a site whose feed is on, or was on; earlier versions refuse these kinds.
	kindTold        // kindMutation with its event
	kindEvent       // an event of the feed that is no mutation
	kindFeed        // the feed's switch, its newest number, and the cursors of its destinations
	kindFeedLetter  // a letter of a destination
	kindFeedDropped // letters that an operator dropped

	kindHadState // kindState of a ticket with [pending.State].Had; earlier versions refuse this kind
)

// entry is a record of the log; kind says which of the fields count.
type entry struct {
	kind kind

	mutation store.Mutation
	revision ticket.Revision // of the mutation
	expires  time.Time       // of the mutation's request id

	receipts []store.Receipt
	letters  []ticket.Letter
	ids      []ticket.ID
	at       time.Time
	state    pending.State
	requests []requests.Request
	graves   []pending.Grave

	highest ticket.Revision
	unsure  ticket.Revision // see Store.unsure

	event       ticket.Event // of kindTold Number, Previous, Was and Recorded alone
	feed        feedState
	destination string
	letter      store.FeedLetter
	keys        []uint64
}

// ErrRecord is wrapped if a record with a correct checksum cannot be read: another version has written the record.
var ErrRecord = errors.New("not a record that this version knows")

func (r *entry) encode() []byte {
	w := writer{record.Writer{format, byte(r.kind)}}
	switch r.kind {
	case kindMutation:
		w.mutation(r)
	case kindAck:
		w.receipts(r.receipts)
	case kindPark:
		w.letters(r.letters)
	case kindRetry:
		w.Time(r.at)
		w.ids(r.ids)
	case kindDrop:
		w.ids(r.ids)
	case kindOldState: // written by tests alone
		w.state(&r.state)
	case kindState, kindHadState:
		w.state(&r.state)
		w.Int(int64(r.state.Born))
		w.Int(int64(r.state.Created))
	case kindGraves:
		w.graves(r.graves)
	case kindOldRequests:
	case kindRequests:
		w.requests(r.requests)
	case kindMark:
		w.Int(int64(r.highest))
		w.Int(int64(r.unsure))
	default:
		w.ofFeed(r)
	}
	return w.Writer
}

func decode(data []byte) (*entry, error) {
	if len(data) < 2 || data[0] != format {
		return nil, fmt.Errorf("%w: the record begins with % x", ErrRecord, data[:min(2, len(data))])
	}
	rec, r := &entry{kind: kind(data[1])}, reader{record.NewReader(data[2:])}
	if !r.entry(rec) {
		return nil, fmt.Errorf("%w: kind %d", ErrRecord, data[1])
	}
	if !r.Done() {
		return nil, fmt.Errorf("%w: kind %d, %d bytes, %d bytes left", ErrRecord, data[1], len(data), r.Left())
	}
	return rec, nil
}

// entry reads the content of a record of rec's kind; false for an unknown kind.
func (r reader) entry(rec *entry) bool {
	switch rec.kind {
	case kindMutation:
		r.mutation(rec)
	case kindAck:
		for range r.Count(3) {
			rec.receipts = append(rec.receipts, store.Receipt{ID: r.ID(), Revision: r.Revision(), Ahead: r.Bool()})
		}
	case kindPark:
		for range r.Count(5) {
			rec.letters = append(rec.letters, r.letter())
		}
	case kindRetry:
		rec.at, rec.ids = r.Time(), r.ids()
	case kindDrop:
		rec.ids = r.ids()
	case kindOldState:
		r.state(&rec.state)
	case kindState, kindHadState:
		rec.state.Had = rec.kind == kindHadState
		r.state(&rec.state)
		rec.state.Born, rec.state.Created = r.Revision(), r.Revision()
	case kindGraves:
		rec.graves = r.graves()
	case kindOldRequests:
		rec.kind, rec.requests = kindRequests, r.oldRequests() // the next write uses the new kind
	case kindRequests:
		rec.requests = r.requests()
	case kindMark:
		rec.highest, rec.unsure = r.Revision(), r.Revision()
	default:
		return r.ofFeed(rec)
	}
	return true
}

// maxPart bounds the fields' bytes in one record of a ticket's state.
const maxPart = wal.MaxRecord - 64<<10

// encodeStates encodes tickets' states. A state that is too large for a record becomes several records, each with some of the
// fields.
func encodeStates(states []pending.State) [][]byte {
	var encoded [][]byte
	for i := range states {
		part, as := states[i], kindState
		if part.Had {
			as = kindHadState
		}
		part.Fields = nil
		size := 0
		for _, f := range states[i].Fields {
			more := len(f.Name) + len(f.Value.Text()) + 2*binary.MaxVarintLen64
			if size > 0 && size+more > maxPart {
				encoded = append(encoded, (&entry{kind: as, state: part}).encode())
				part.Fields, size = nil, 0
			}
			part.Fields = append(part.Fields, f)
			size += more
		}
		encoded = append(encoded, (&entry{kind: as, state: part}).encode())
	}
	return encoded
}

// writer and reader add the parts of entries that only this journal has.
type (
	writer struct{ record.Writer }
	reader struct{ *record.Reader }
)

func (w *writer) mutation(e *entry) {
	w.Mutation(&e.mutation, e.revision)
	if e.mutation.RequestID != "" {
		w.Time(e.expires)
	}
}

func (r reader) mutation(e *entry) {
	e.revision = r.Mutation(&e.mutation)
	if e.mutation.RequestID != "" {
		e.expires = r.Time()
	}
}

// request writes a remembered request as 16 bytes of key, three numbers and 8 bytes of digest; the expiry is in s since 1970.
func (w *writer) receipts(receipts []store.Receipt) {
	w.Count(len(receipts))
	for _, a := range receipts {
		w.Int(int64(a.ID))
		w.Int(int64(a.Revision))
		w.Bool(a.Ahead)
	}
}

func (w *writer) requests(all []requests.Request) {
	w.Count(len(all))
	for i := range all {
		w.request(&all[i])
	}
}

func (w *writer) request(q *requests.Request) {
	w.Bytes(q.Key[:])
	w.Int(int64(q.Ticket))
	w.Int(int64(q.Revision))
	w.Int(q.Expires.Unix())
	w.Bytes(binary.LittleEndian.AppendUint64(nil, uint64(q.Digest)))
}

func (r reader) request() (q requests.Request) {
	r.Bytes(q.Key[:])
	q.Ticket, q.Revision, q.Expires = r.ID(), r.Revision(), time.Unix(r.Int(), 0)
	var digest [8]byte
	r.Bytes(digest[:])
	q.Digest = requests.Digest(binary.LittleEndian.Uint64(digest[:]))
	return q
}

func (r reader) requests() (all []requests.Request) {
	for range r.Count(len(requests.Key{})) {
		all = append(all, r.request())
	}
	return all
}

func (r reader) oldRequests() (all []requests.Request) {
	for range r.Count(4) {
		q := requests.Request{Key: requests.KeyOf(r.Text()), Ticket: r.ID(), Revision: r.Revision(), Expires: r.Time()}
		all = append(all, q)
	}
	return all
}

func (w *writer) ids(ids []ticket.ID) {
	w.Count(len(ids))
	for _, id := range ids {
		w.Int(int64(id))
	}
}

func (r reader) ids() []ticket.ID {
	var ids []ticket.ID
	for range r.Count(1) {
		ids = append(ids, r.ID())
	}
	return ids
}

func (w *writer) letters(letters []ticket.Letter) {
	w.Count(len(letters))
	for i := range letters {
		w.letter(&letters[i])
	}
}

func (w *writer) letter(l *ticket.Letter) {
	w.Int(int64(l.ID))
	w.Int(int64(l.Revision))
	w.Int(int64(l.Code))
	w.Text(l.Reason)
	w.Time(l.At)
}

func (r reader) letter() ticket.Letter {
	return ticket.Letter{ID: r.ID(), Revision: r.Revision(), Code: int(r.Int()), Reason: r.Text(), At: r.Time()}
}

func (w *writer) state(s *pending.State) {
	w.Int(int64(s.ID))
	w.Int(int64(s.Revision))
	w.Bool(s.Full)
	w.Bool(s.Gone)
	w.Int(int64(s.Deleted))
	w.Time(s.Since)
	w.Time(s.Due)
	w.Bool(s.Letter != nil)
	if s.Letter != nil {
		w.letter(s.Letter)
	}
	w.Count(len(s.Fields))
	for _, f := range s.Fields {
		w.Text(f.Name)
		w.Value(f.Value)
		w.Int(int64(f.Changed))
	}
}

func (r reader) state(s *pending.State) {
	s.ID, s.Revision, s.Full, s.Gone, s.Deleted = r.ID(), r.Revision(), r.Bool(), r.Bool(), r.Revision()
	s.Since, s.Due = r.Time(), r.Time()
	if r.Bool() {
		l := r.letter()
		s.Letter = &l
	}
	for range r.Count(3) {
		s.Fields = append(s.Fields, pending.FieldState{Name: r.Text(), Value: r.Value(), Changed: r.Revision()})
	}
}

// graves writes buckets of tombstones: the bucket's number, and the words of the bitmap, most of which are 0, as numbers.
func (w *writer) graves(buckets []pending.Grave) {
	w.Count(len(buckets))
	for i := range buckets {
		w.Int(int64(buckets[i].Number)) //nolint:gosec // an id divided
		for _, word := range buckets[i].Bits {
			w.Int(int64(word)) //nolint:gosec // as its bits
		}
	}
}

func (r reader) graves() []pending.Grave {
	var buckets []pending.Grave
	for range r.Count(1 + len(graves.Bitmap{})) {
		number := r.Int()
		if number < 0 || number > math.MaxInt64/graves.Bucket {
			r.Fail()
		}
		b := pending.Grave{Number: uint64(number)} //nolint:gosec // checked above
		for i := range b.Bits {
			b.Bits[i] = uint64(r.Int()) //nolint:gosec // as its bits
		}
		buckets = append(buckets, b)
	}
	return buckets
}
