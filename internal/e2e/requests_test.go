package e2e

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A request id belongs to a single request, in every store: the same id for another ticket, another method or other fields is
// refused by name and changes nothing, also after a restart, and a repetition has the same answer.
func TestRequestIDBelongsToOneRequest(t *testing.T) {
	t.Parallel()
	cluster, prefix := testenv.SharedCluster(t)
	place := fmt.Sprintf("[redis]\ncluster = [%s]\n", quoted(cluster.Addrs()))
	for name, o := range map[string]rigOptions{
		"Redis": {site: never}, "Journal": {site: never + "ack = \"journal\""}, "WithoutRedis": {noRedis: true, site: never},
		"Cluster": {site: never, place: place, prefix: prefix},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, o)
			c := r.dial(t)
			first, err := c.Set(t.Context(), withRequest(set(1, "status", "open"), "order-812"))
			if err != nil {
				t.Fatal(err)
			}
			mustSet(t, c, 2, "status", "open")
			refuseOthers(t, c)
			if o.noRedis {
				r.Kill()
				if err := r.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
				c = r.dial(t)
				refuseOthers(t, c)
			}
			again, err := c.Set(t.Context(), withRequest(set(1, "status", "open"), "order-812"))
			if err != nil || again != first {
				t.Errorf("repetition: %v (%v), want %v", again, err, first)
			}
			for id := int64(1); id <= 2; id++ {
				if got, _ := mustGet(t, c, id, "status"); got != "open" {
					t.Errorf("status of ticket %d is %q, want open", id, got)
				}
			}
		})
	}
}

// refuseOthers sends other requests under the id of the request that set the status of ticket 1 to open.
func refuseOthers(t *testing.T, c *protocol.Client) {
	t.Helper()
	const id = "order-812"
	for what, request := range map[string]func() error{
		"another value":  func() error { _, err := c.Set(t.Context(), withRequest(set(1, "status", "closed"), id)); return err },
		"another ticket": func() error { _, err := c.Set(t.Context(), withRequest(set(2, "status", "closed"), id)); return err },
		"a create": func() error {
			_, err := c.Create(t.Context(), []protocol.Field{{Name: "status", Value: protocol.Text("open")}}, id)
			return err
		},
		"a delete": func() error { _, err := c.Delete(t.Context(), 2, id); return err },
	} {
		var refusal *protocol.Error
		if err := request(); !errors.As(err, &refusal) || refusal.Code != protocol.CodeInvalid || refusal.Field != "request_id" {
			t.Errorf("%s under the same id: %v, want invalid, request_id", what, err)
		}
	}
}
