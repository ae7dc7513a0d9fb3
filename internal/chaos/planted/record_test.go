package planted

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

// record adds an operation to the history: each host has one client, and what fails ends the test.
func (r *rig) record(t *testing.T, h *host, op history.Op, do func(op *history.Op) error) {
	t.Helper()
	op.Client, op.Host, op.Via, op.Outcome, op.Call = h.number, h.number, "go", history.Done, time.Since(r.began)
	if err := do(&op); err != nil {
		t.Fatalf("%s %d on host %d: %v", op.Kind, op.Ticket, h.number, err)
	}
	op.Return = time.Since(r.began)
	r.history.Ops = append(r.history.Ops, op)
}

// set writes a ticket's subject. The journal answers where the test asks for it; else Redis does.
func (r *rig) set(t *testing.T, h *host, id int64, subject string, ack protocol.Ack) {
	t.Helper()
	op := history.Op{Kind: history.Set, Ticket: id, Fields: map[string]history.Value{"subject": &subject}}
	r.record(t, h, op, func(op *history.Op) (err error) {
		c, end := h.dial(t)
		defer end()
		p := params(id, subject)
		p.Ack = ack
		op.Revision, err = c.Set(t.Context(), p)
		return err
	})
}

// get reads a ticket's subject.
func (r *rig) get(t *testing.T, h *host, id int64) (subject string) {
	t.Helper()
	r.record(t, h, history.Op{Kind: history.Get, Ticket: id}, func(op *history.Op) error {
		c, end := h.dial(t)
		defer end()
		got, err := c.Get(t.Context(), id)
		op.Revision, op.Stale = got.Revision, got.Stale
		for _, f := range got.Fields {
			if f.Name == "subject" {
				subject = f.Value.Text()
				op.Fields = map[string]history.Value{"subject": &subject}
			}
		}
		return err
	})
	return subject
}

// leave puts a change of a ticket's subject into the spool, as a client does that cannot reach the daemon.
func (r *rig) leave(t *testing.T, h *host, id int64, subject string) {
	t.Helper()
	op := history.Op{
		Kind: history.Set, Ticket: id, Fields: map[string]history.Value{"subject": &subject},
		Request: "r-" + subject, Code: history.Spooled,
	}
	r.record(t, h, op, func(op *history.Op) error {
		p := params(id, subject)
		p.RequestID = op.Request
		var enc protocol.Encoder
		frame, err := enc.Request(1, protocol.MethodSet, &p)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%016d-%d-%016x.frame", time.Now().UnixMicro(), id, len(r.history.Ops))
		unnamed := filepath.Join(h.spool(), ".tmp-"+name)
		if err := os.WriteFile(unnamed, frame, 0o644); err != nil {
			return err
		}
		return os.Rename(unnamed, filepath.Join(h.spool(), name))
	})
}

func params(id int64, subject string) protocol.SetParams {
	return protocol.SetParams{ID: id, Fields: []protocol.Field{{Name: "subject", Value: protocol.Text(subject)}}}
}
