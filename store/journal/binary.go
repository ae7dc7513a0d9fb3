package journal

import (
	"encoding/binary"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/memory"
)

// writer builds a record: numbers are varints, texts have their length before them, times are µs since 1970.
type writer []byte

func (w *writer) int(n int64) { *w = binary.AppendVarint(*w, n) }
func (w *writer) count(n int) { w.int(int64(n)) }

func (w *writer) bool(b bool) {
	if b {
		*w = append(*w, 1)
	} else {
		*w = append(*w, 0)
	}
}

func (w *writer) text(s string) {
	w.count(len(s))
	*w = append(*w, s...)
}

func (w *writer) time(t time.Time) { w.int(t.UnixMicro()) }

func (w *writer) ids(ids []ticket.ID) {
	w.count(len(ids))
	for _, id := range ids {
		w.int(int64(id))
	}
}

func (w *writer) value(v ticket.Value) {
	w.bool(!v.IsNull())
	if !v.IsNull() {
		w.text(v.Text())
	}
}

func (w *writer) mutation(r *record) {
	m := &r.mutation
	*w = append(*w, byte(m.Kind))
	w.int(int64(m.ID))
	w.int(int64(r.revision))
	w.int(int64(m.Proposed))
	w.time(m.Due)
	w.text(m.RequestID)
	if m.RequestID != "" {
		w.time(r.expires)
	}
	w.count(len(m.Fields))
	for _, f := range m.Fields {
		w.text(f.Name)
		w.value(f.Value)
	}
}

func (w *writer) letter(l *store.DeadLetter) {
	w.int(int64(l.ID))
	w.int(int64(l.Revision))
	w.int(int64(l.Code))
	w.text(l.Reason)
	w.time(l.At)
}

func (w *writer) state(s *memory.State) {
	w.int(int64(s.ID))
	w.int(int64(s.Revision))
	w.bool(s.Full)
	w.bool(s.Gone)
	w.int(int64(s.Deleted))
	w.time(s.Since)
	w.time(s.Due)
	w.bool(s.Letter != nil)
	if s.Letter != nil {
		w.letter(s.Letter)
	}
	w.count(len(s.Fields))
	for _, f := range s.Fields {
		w.text(f.Name)
		w.value(f.Value)
		w.int(int64(f.Changed))
	}
}

// reader takes a record apart. After anything that cannot be, bad is set and all further reads return zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) fail() {
	r.bad, r.rest = true, nil
}

func (r *reader) int() int64 {
	n, size := binary.Varint(r.rest)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return n
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) bool() bool {
	b := r.byte()
	if b > 1 {
		r.fail()
	}
	return b == 1
}

// text copies: a record is the log's.
func (r *reader) text() string {
	n := r.count(1)
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

// count reads how many things follow, each of at least size bytes.
func (r *reader) count(size int) int {
	n := r.int()
	if n < 0 || n > int64(len(r.rest)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) id() ticket.ID {
	id := ticket.ID(r.int())
	if !id.Valid() {
		r.fail()
	}
	return id
}

func (r *reader) revision() ticket.Revision { return ticket.Revision(r.int()) }
func (r *reader) time() time.Time           { return time.UnixMicro(r.int()) }

func (r *reader) ids() []ticket.ID {
	var ids []ticket.ID
	for range r.count(1) {
		ids = append(ids, r.id())
	}
	return ids
}

func (r *reader) value() ticket.Value {
	if r.bool() {
		return ticket.Text(r.text())
	}
	return ticket.Null
}

func (r *reader) mutation(rec *record) {
	m := &rec.mutation
	m.Kind = store.Kind(r.byte())
	if m.Kind < store.Create || m.Kind > store.Delete {
		r.fail()
	}
	m.ID, rec.revision, m.Proposed, m.Due, m.RequestID = r.id(), r.revision(), r.revision(), r.time(), r.text()
	if m.RequestID != "" {
		rec.expires = r.time()
	}
	for range r.count(2) {
		m.Fields = append(m.Fields, ticket.Field{Name: r.text(), Value: r.value()})
	}
}

func (r *reader) letter() store.DeadLetter {
	return store.DeadLetter{ID: r.id(), Revision: r.revision(), Code: int(r.int()), Reason: r.text(), At: r.time()}
}

func (r *reader) state(s *memory.State) {
	s.ID, s.Revision, s.Full, s.Gone, s.Deleted = r.id(), r.revision(), r.bool(), r.bool(), r.revision()
	s.Since, s.Due = r.time(), r.time()
	if r.bool() {
		l := r.letter()
		s.Letter = &l
	}
	for range r.count(3) {
		s.Fields = append(s.Fields, memory.FieldState{Name: r.text(), Value: r.value(), Changed: r.revision()})
	}
}
