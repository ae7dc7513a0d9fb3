package pending

import (
	"strings"
	"testing"
	"unsafe"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// What stays in memory is no part of the request that brought it, which would stay with it.
func TestRequestsDoNotStay(t *testing.T) {
	t.Parallel()
	s := New()
	request := strings.Repeat("x", 1<<10) + "statusopen"
	name, value := request[1<<10:1<<10+6], request[1<<10+6:]
	apply(t, s, store.Mutation{
		Kind: store.Set, ID: 1, Proposed: 1, Fields: ticket.Fields{{Name: name, Value: ticket.Text(value)}},
	})
	kept := s.tickets[1].fields[0]
	if kept.name != name || unsafe.StringData(kept.name) == unsafe.StringData(name) {
		t.Errorf("the name %q is a part of the request", kept.name)
	}
	if kept.value.Text() != value || unsafe.StringData(kept.value.Text()) == unsafe.StringData(value) {
		t.Errorf("the value %q is a part of the request", kept.value.Text())
	}
}
