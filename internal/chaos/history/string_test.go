package history_test

import (
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// A violation is shown with rule, ticket and operations.
func TestViolation(t *testing.T) {
	t.Parallel()
	value := "a"
	v := history.Violation{Rule: "a rule", Ticket: 7, Text: "what is wrong", Ops: []history.Op{
		{
			Client: 1, Host: 2, Via: "go", Kind: history.Set, Ticket: 7,
			Fields:  map[string]history.Value{"status": &value, "category": nil},
			Outcome: history.Done, Revision: 10, Call: time.Millisecond, Return: 2 * time.Millisecond,
		},
		{
			Client: 3, Via: "php", Kind: history.Get, Ticket: 7, Outcome: history.Done, Stale: true,
			Call: time.Second, Return: time.Second,
		},
	}}
	const want = "violation of \"a rule\", ticket 7: what is wrong\n" +
		"     0.0010s to    0.0020s client 1 on host 2 by go: set 7 category=NULL status=a -> done  revision 10\n" +
		"     1.0000s to    1.0000s client 3 on host 0 by php: get 7 -> done  revision 0 stale\n"
	if got := v.String(); got != want {
		t.Errorf("it is shown as\n%s\nwant\n%s", got, want)
	}
}
