package outbox

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

func sample() entry {
	return entry{sequence: 5, revision: 77, mutation: store.Mutation{
		Kind: store.Create, ID: 1<<63 - 1, Proposed: 1795545562102001, Due: time.UnixMilli(1795545562302),
		RequestID: "r-1", Digest: "AAAAAAAAAAE", Remember: 10 * time.Minute, By: "user:3", Via: "wp-admin",
		Fields: ticket.Fields{
			{Name: "subject", Value: ticket.Text("Where is my order?")}, {Name: "category", Value: ticket.Null},
			{Name: "empty", Value: ticket.Text("")},
		},
		Defaults: 1,
	}}
}

func TestEntryReadsBack(t *testing.T) {
	t.Parallel()
	want := sample()
	got, err := decode(want.encode())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
}

func TestCutEntryIsRefused(t *testing.T) {
	t.Parallel()
	e := sample()
	whole := e.encode()
	for n := range whole {
		if _, err := decode(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for an entry", n, len(whole))
		}
	}
	if _, err := decode(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many is overlooked")
	}
}

func TestConfirmationReadsBack(t *testing.T) {
	t.Parallel()
	for _, want := range []confirmed{
		{upTo: 7, partitions: 1, last: 7}, {upTo: 7, partitions: 32, partition: 31, last: 9}, {upTo: 0, partitions: 2, last: 0},
	} {
		if got, err := decodeConfirmed(want.encode()); err != nil || got != want {
			t.Errorf("%+v (%v), want %+v", got, err, want)
		}
	}
	for _, wrong := range []confirmed{
		{upTo: 7, partitions: 2, partition: 2, last: 7}, {upTo: 7, partitions: 2, last: 6},
	} {
		if got, err := decodeConfirmed(wrong.encode()); err == nil {
			t.Errorf("%+v is taken for %+v", wrong, got)
		}
	}
}

func TestReplacementReadsBack(t *testing.T) {
	t.Parallel()
	want := replaced{from: 7, to: 1<<63 - 1, upTo: 1<<53 - 1, count: 5000, at: time.UnixMicro(1795545562102001)}
	whole := want.encode()
	if got, err := decodeReplaced(whole); err != nil || got != want {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	for n := range whole {
		if _, err := decodeReplaced(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes are taken for a replacement", n, len(whole))
		}
	}
	if _, err := decodeReplaced(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many is overlooked")
	}
	for _, wrong := range []replaced{{from: 1, to: 1, count: 1}, {from: 1, to: 1, upTo: 1}} {
		if got, err := decodeReplaced(wrong.encode()); err == nil {
			t.Errorf("%+v is taken for %+v", wrong, got)
		}
	}
}
