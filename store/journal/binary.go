package journal

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/graves"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/store/requests"
	"github.com/ticketd/ticketd/store/wal/record"
)

// writer and reader know the parts of this journal's entries besides those that all journals have.
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

// request writes a remembered request in 16 bytes of key, 8 of digest and three numbers; it expires in s since 1970.
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

// graves writes buckets of tombstones: the number of each, and as numbers the words of its bitmap, most of which are 0.
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
