package daemon

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// fakeSpool keeps what it is asked.
type fakeSpool struct {
	asked  []string // the types of the parameters
	err    error
	behind bool
}

func (s *fakeSpool) Behind(Site) bool { return s.behind }

func (s *fakeSpool) Settle(ctx context.Context, _ Site, p protocol.Params) error {
	if _, bounded := ctx.Deadline(); !bounded {
		return errors.New("a request may wait for the spool for ever")
	}
	s.asked = append(s.asked, strings.TrimPrefix(fmt.Sprintf("%T", p), "*protocol."))
	return s.err
}

func (*fakeSpool) Status(Site) protocol.SpoolStatus { return protocol.SpoolStatus{Files: 3, Bad: 1} }

func (*fakeSpool) Warnings(Site) []string { return []string{"look at bad/"} }

// Every request that reads or changes tickets comes after what is in the spool; ping and status answer whatever is there.
func TestSpoolComesFirst(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	spool := &fakeSpool{}
	dispatcher, _ := r.server.handler.(*Dispatcher)
	dispatcher.UseSpool(spool)
	c, ctx := r.client(t), t.Context()
	fields := []protocol.Field{{Name: "status", Value: protocol.Text("open")}}
	for what, call := range map[string]struct {
		do   func() error
		want []string
	}{
		"ping":   {func() error { _, err := c.Ping(ctx); return err }, nil},
		"create": {func() error { _, err := c.Create(ctx, fields, ""); return err }, []string{"CreateParams"}},
		"set":    {func() error { _, err := c.Set(ctx, protocol.SetParams{ID: 1, Fields: fields}); return err }, []string{"SetParams"}},
		"set_many": {func() error {
			_, err := c.SetMany(ctx, []protocol.TicketFields{{ID: 1, Fields: fields}}, "")
			return err
		}, []string{"SetManyParams"}},
		"delete": {func() error { _, err := c.Delete(ctx, 1, ""); return err }, []string{"DeleteParams"}},
		"get":    {func() error { _, err := c.Get(ctx, 1); return err }, []string{"GetParams"}},
		"list":   {func() error { _, err := c.List(ctx, protocol.ListParams{}); return err }, []string{"ListParams"}},
		"flush":  {func() error { _, err := c.Flush(ctx, nil, nil); return err }, []string{"FlushParams"}},
	} {
		spool.asked = nil
		if err := call.do(); err != nil || !reflect.DeepEqual(spool.asked, call.want) {
			t.Errorf("%s: %v; the spool was asked %v, want %v", what, err, spool.asked, call.want)
		}
	}
	spool.err = protocol.Errorf(protocol.CodeUnavailable, "older changes wait")
	var set int64
	r.site.hook = func(_ context.Context, id int64) error { set = id; return nil }
	_, err := c.Set(ctx, protocol.SetParams{ID: 9, Fields: fields})
	if !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) || set != 0 {
		t.Errorf("a change overtook the spool: %v", err)
	}
	if _, err := c.Flush(ctx, nil, nil); !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("a flush says nothing of what the spool still holds: %v", err)
	}
	status, err := c.Status(ctx)
	if err != nil || status.Spool != (protocol.SpoolStatus{Files: 3, Bad: 1}) || len(status.Warnings) != 1 {
		t.Errorf("status %+v, %v", status, err)
	}
}

// While a site cannot take what waits in the spool, what it shows may be older than what was acknowledged, and says so; of a
// ticket that it does not know nobody can say that it does not exist.
func TestReadsSayThatTheSpoolWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	spool := &fakeSpool{}
	dispatcher, _ := r.server.handler.(*Dispatcher)
	dispatcher.UseSpool(spool)
	c, ctx := r.client(t), t.Context()
	for _, behind := range []bool{true, false} {
		spool.behind = behind
		got, err := c.Get(ctx, 1)
		if err != nil || got.Stale != behind {
			t.Errorf("get: stale %v, want %v (%v)", got.Stale, behind, err)
		}
		list, err := c.List(ctx, protocol.ListParams{})
		if err != nil || list.Stale != behind {
			t.Errorf("list: stale %v, want %v (%v)", list.Stale, behind, err)
		}
		want := protocol.CodeNotFound
		if behind {
			want = protocol.CodeUnavailable
		}
		if _, err := c.Get(ctx, absent); !errors.Is(err, &protocol.Error{Code: want}) {
			t.Errorf("get of what is not there: %v, want %s", err, want)
		}
	}
}
