package journal

import (
	"reflect"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/requests"
	"github.com/ticketd/ticketd/store/wal/record"
)

func TestRecordsComeBack(t *testing.T) {
	t.Parallel()
	for _, r := range samples() {
		encoded := r.encode()
		got, err := decode(encoded)
		if err != nil {
			t.Fatalf("kind %d: %v", r.kind, err)
		}
		if !reflect.DeepEqual(got, &r) {
			t.Errorf("kind %d: read %+v, written %+v", r.kind, *got, r)
		}
		earlier := r // without the part that earlier builds did not write
		earlier.feed.rights = nil
		for cut := range encoded {
			if r.kind == kindFeed && cut == len(earlier.encode())-1 {
				continue
			}
			if _, err := decode(encoded[:cut]); err == nil {
				t.Errorf("kind %d: the first %d of %d bytes were read", r.kind, cut, len(encoded))
			}
		}
	}
}

// What was written when remembered requests were known by the texts of their ids, without digests, is read by their keys.
func TestRequestsOfEarlierVersionsAreRead(t *testing.T) {
	t.Parallel()
	at := time.UnixMicro(1_700_000_000_123_456)
	w := writer{record.Writer{format, byte(kindOldRequests)}}
	w.Count(1)
	w.Text("r-1")
	w.Int(7)
	w.Int(8)
	w.Time(at)
	got, err := decode(w.Writer)
	want := []requests.Request{{Key: requests.KeyOf("r-1"), Ticket: 7, Revision: 8, Expires: at}}
	if err != nil || got.kind != kindRequests || !reflect.DeepEqual(got.requests, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
}

// A revision that none can be, as an earlier version has read it from a row and written it here, leaves room for those after it.
func TestOddRevisionOfAnEarlierVersion(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	e := &entry{kind: kindMutation, mutation: r.mutation(1, "open"), revision: 1<<63 - 1, expires: r.now}
	at, err := r.log.Append(e.encode())
	if err == nil {
		err = r.log.Commit(t.Context(), at)
	}
	if err != nil {
		t.Fatal(err)
	}
	r.reopen(t)
	first, second := r.set(t, 1, "pending"), r.set(t, 2, "open")
	if first <= 0 || second <= first || second > ticket.Ceiling {
		t.Errorf("revisions %d and %d", first, second)
	}
}
