package outbox

import (
	"errors"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/wal"
)

// FuzzDecode reads anything as an entry: what it takes it reads back the same.
func FuzzDecode(f *testing.F) {
	e := sample()
	f.Add(e.encode())
	f.Add([]byte{recordMutation, 2, 0, 2, 2, 2, 2, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, record []byte) {
		e, err := decode(record)
		if err != nil {
			return
		}
		again, err := decode(e.encode())
		if err != nil || !reflect.DeepEqual(e, again) {
			t.Errorf("%+v reads back as %+v (%v)", e, again, err)
		}
	})
}

// FuzzDecodeConfirmed is FuzzDecode for confirmations.
func FuzzDecodeConfirmed(f *testing.F) {
	for _, c := range []confirmed{
		{upTo: 7, partitions: 1, last: 7}, {upTo: 7, partitions: 32, partition: 31, last: 9}, {partitions: 2},
	} {
		f.Add(c.encode())
	}
	f.Fuzz(func(t *testing.T, record []byte) {
		c, err := decodeConfirmed(record)
		if err != nil {
			return
		}
		if again, err := decodeConfirmed(c.encode()); err != nil || again != c {
			t.Errorf("%+v reads back as %+v (%v)", c, again, err)
		}
	})
}

// FuzzRecover opens a journal whose log holds any records, for a next store of so many partitions: it never panics, refuses
// exactly what it cannot decode, and finds the changes that no confirmation concerns, in their order, however often it looks.
func FuzzRecover(f *testing.F) {
	e := sample()
	one := e.encode()
	var several []byte
	for n := range uint64(5) {
		e := sample()
		e.sequence, e.mutation.ID = n+1, ticket.ID(n%3+1)
		several = append(append(several, byte(len(e.encode()))), e.encode()...)
	}
	all := confirmed{upTo: 3, partitions: 1, last: 3}
	part := confirmed{upTo: 4, partitions: 2, partition: 1, last: 5}
	f.Add(uint8(1), append([]byte{byte(len(one))}, one...))
	f.Add(uint8(3), append(append(slices.Clip(several), byte(len(all.encode()))), all.encode()...))
	f.Add(uint8(2), append(append(slices.Clip(several), byte(len(part.encode()))), part.encode()...))
	for _, r := range []replaced{
		{from: 2, to: 2, upTo: 5, count: 1}, {from: 2, to: 9, upTo: 5, count: 1}, {from: 2, to: 2, upTo: 5, count: 2},
	} {
		e := sample()
		e.sequence, e.mutation.ID = 6, r.to
		data := slices.Clip(several)
		for _, record := range [][]byte{r.encode(), e.encode()} {
			data = append(append(data, byte(len(record))), record...)
		}
		f.Add(uint8(3), data)
	}
	f.Fuzz(func(t *testing.T, partitions uint8, data []byte) {
		dir := t.TempDir()
		readable := true
		log, _, err := wal.Open(dir, wal.Options{Sync: wal.Never}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for record := range split(data) {
			if _, err := log.Append(record); err != nil {
				t.Fatal(err)
			}
			readable = readable && canBeRead(record)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		var first []uint64
		for range 2 {
			s, _, err := Open(dir, wal.Options{Sync: wal.Never}, Options{
				MaxEntries: 10, Partitions: int(partitions % 8), Now: time.Now, Clock: ticket.NewClock(time.Now),
			}, func(string) (Next, error) { return unused{}, nil })
			if (err == nil) != readable || err != nil && !errors.Is(err, errRecord) {
				t.Fatalf("Open: %v, all records can be decoded: %v", err, readable)
			}
			if err != nil {
				return
			}
			found := s.sequences(t)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if first != nil && !reflect.DeepEqual(found, first) {
				t.Errorf("%v wait, then %v", first, found)
			}
			first = found
		}
	})
}

// unused is a next store to which no change is brought.
type unused struct{ Next }

func (unused) Close() error { return nil }

// sequences are those of the changes that wait, lane by lane.
func (s *Store) sequences(t *testing.T) []uint64 {
	t.Helper()
	found := []uint64{}
	for p, l := range s.lanes {
		for i := range l.queue {
			e, err := l.queue[i].entry()
			if err != nil {
				t.Fatal(err)
			}
			if e.mutation.ID.Partition(len(s.lanes)) != p || e.sequence > s.last {
				t.Errorf("%+v waits in lane %d of %d, the last is %d", e, p, len(s.lanes), s.last)
			}
			found = append(found, e.sequence)
		}
	}
	if len(found) != s.count {
		t.Errorf("%d changes wait, counted are %d", len(found), s.count)
	}
	return found
}

func canBeRead(record []byte) bool {
	if record[0] == recordConfirmed {
		_, err := decodeConfirmed(record)
		return err == nil
	}
	if record[0] == recordReplaced {
		_, err := decodeReplaced(record)
		return err == nil
	}
	_, err := decode(record)
	return err == nil
}

// split takes data apart into records: a byte of length, and so many bytes.
func split(data []byte) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(data) > 1 {
			n := min(int(data[0]), len(data)-1)
			if n > 0 && !yield(data[1:1+n]) {
				return
			}
			data = data[1+n:]
		}
	}
}
