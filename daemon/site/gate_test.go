package site_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/protocol"
)

// A change may have been accepted before the site knew the table: once the site knows the table, the change is judged again.
func TestGateJudgesAgainOnceTheTableIsKnown(t *testing.T) {
	t.Parallel()
	unknown, table := errors.New("not known yet"), ""
	gate := site.Gate{Site: &site.Site{Parts: site.Parts{
		Served: func() error { return unknown },
		Owns:   func(identity string) bool { return table == "" || identity == table },
	}}}
	p := &protocol.SetParams{Change: protocol.Change{RequestID: "r", Identity: "THEIRS"}, ID: 1}
	if !daemon.Meant(p, gate) {
		t.Fatal("a site that does not know its table judges")
	}
	if _, err := gate.Set(context.Background(), p); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Fatalf("set before the table is known: %v, want unavailable", err)
	}
	unknown, table = nil, "OURS"
	_, set := gate.Set(context.Background(), p)
	_, made := gate.Create(context.Background(), &protocol.CreateParams{
		Change: protocol.Change{RequestID: "r", Identity: "THEIRS"}, ID: 1,
	})
	_, deleted := gate.Delete(context.Background(), &protocol.DeleteParams{
		Change: protocol.Change{RequestID: "r", Identity: "THEIRS"}, ID: 1,
	})
	for method, err := range map[string]error{"set": set, "create": made, "delete": deleted} {
		var refusal *protocol.Error
		if !errors.As(err, &refusal) || refusal != daemon.ErrNotMeant {
			t.Errorf("%s for another table: %v, want %v", method, err, daemon.ErrNotMeant)
		}
	}
}
