package relay

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

func sample() store.Mutation {
	return store.Mutation{
		Kind: store.Create, ID: 1<<63 - 1, Proposed: 1795545562102001, Due: time.UnixMilli(1795545562302),
		RequestID: "r-1", Remember: 10 * time.Minute,
		Fields: ticket.Fields{
			{Name: "subject", Value: ticket.Text("Where is my order?")}, {Name: "category", Value: ticket.Null},
			{Name: "empty", Value: ticket.Text("")},
		},
	}
}

func TestMutationReadsBack(t *testing.T) {
	t.Parallel()
	want := sample()
	got, revision, err := decodeMutation(encodeMutation(&want, 77)[1:])
	if err != nil || revision != 77 || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v at %d (%v), want %+v at 77", got, revision, err, want)
	}
}

func TestCutMutationIsRefused(t *testing.T) {
	t.Parallel()
	m := sample()
	whole := encodeMutation(&m, 77)[1:]
	for n := range whole {
		if _, _, err := decodeMutation(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a mutation", n, len(whole))
		}
	}
	if _, _, err := decodeMutation(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many is overlooked")
	}
}

func FuzzDecodeMutation(f *testing.F) {
	m := sample()
	f.Add(encodeMutation(&m, 77)[1:])
	f.Add([]byte{2, 2, 2, 2, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, record []byte) {
		m, revision, err := decodeMutation(record)
		if err != nil {
			return
		}
		again, revisionAgain, err := decodeMutation(encodeMutation(&m, revision)[1:])
		if err != nil || revision != revisionAgain || !reflect.DeepEqual(m, again) {
			t.Errorf("%+v at %d reads back as %+v at %d (%v)", m, revision, again, revisionAgain, err)
		}
	})
}
