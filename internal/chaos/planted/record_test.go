package planted

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

// record adds an operation to the history: each host has a single client, and a failed operation ends the test.
func (r *rig) record(t *testing.T, h *host, op history.Op, do func(op *history.Op) error) {
	t.Helper()
	op.Client, op.Host, op.Via, op.Outcome, op.Call = h.number, h.number, "go", history.Done, time.Since(r.began)
	if err := do(&op); err != nil {
		t.Fatalf("%s %d on host %d: %v", op.Kind, op.Ticket, h.number, err)
	}
	op.Return = time.Since(r.began)
	r.history.Ops = append(r.history.Ops, op)
}

// set writes a ticket's subject. The journal answers if the test says so, otherwise Redis.
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

// try is record for an operation that the daemon may refuse: the history judges the answer.
func (r *rig) try(t *testing.T, h *host, op history.Op, do func(c *protocol.Client, op *history.Op) error) (done bool) {
	t.Helper()
	r.record(t, h, op, func(op *history.Op) error {
		c, end := h.dial(t)
		defer end()
		err := do(c, op)
		answer := (*protocol.Error)(nil)
		if errors.As(err, &answer) {
			op.Outcome, op.Code, err = history.Refused, string(answer.Code), nil
		}
		done = op.Outcome == history.Done
		return err
	})
	return done
}

// create makes a ticket, under the given id if any.
func (r *rig) create(t *testing.T, h *host, named int64, subject, request string) (id int64) {
	t.Helper()
	op := history.Op{
		Kind: history.Create, Ticket: named, Named: named, Request: request, Fields: map[string]history.Value{"subject": &subject},
	}
	r.try(t, h, op, func(c *protocol.Client, op *history.Op) error {
		p := params(named, subject)
		made, err := c.CreateWith(t.Context(), protocol.CreateParams{
			Change: protocol.Change{RequestID: request}, ID: named, Fields: p.Fields,
		})
		if err == nil {
			id, op.Ticket, op.Revision = made.ID, made.ID, made.Revision
		}
		return err
	})
	return id
}

// change writes a ticket's subject, if the daemon allows. A reused request id belonged to another request.
func (r *rig) change(t *testing.T, h *host, id int64, subject, request string, reused bool) {
	t.Helper()
	op := history.Op{
		Kind: history.Set, Ticket: id, Request: request, Reused: reused, Fields: map[string]history.Value{"subject": &subject},
	}
	r.try(t, h, op, func(c *protocol.Client, op *history.Op) (err error) {
		p := params(id, subject)
		p.RequestID = request
		op.Revision, err = c.Set(t.Context(), p)
		return err
	})
}

// remove deletes a ticket.
func (r *rig) remove(t *testing.T, h *host, id int64) {
	t.Helper()
	r.record(t, h, history.Op{Kind: history.Delete, Ticket: id}, func(op *history.Op) (err error) {
		c, end := h.dial(t)
		defer end()
		op.Revision, err = c.Delete(t.Context(), id, "")
		return err
	})
}

// insert makes a row in SQL.
func (r *rig) insert(t *testing.T, id int64, subject string) {
	t.Helper()
	op := history.Op{Kind: history.Insert, Ticket: id, Fields: map[string]history.Value{"subject": &subject}}
	r.record(t, r.hosts[0], op, func(*history.Op) error {
		_, err := r.db.ExecContext(t.Context(), "INSERT INTO wp_support_tickets (ticket_id, subject) VALUES (?, ?)", id, subject)
		return err
	})
}

// flush flushes all changes to MySQL.
func (h *host) flush(t *testing.T) {
	t.Helper()
	c, end := h.dial(t)
	defer end()
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
}

// get reads a ticket's subject.
func (r *rig) get(t *testing.T, h *host, id int64) (subject string) {
	t.Helper()
	r.record(t, h, history.Op{Kind: history.Get, Ticket: id}, func(op *history.Op) error {
		c, end := h.dial(t)
		defer end()
		got, err := c.Get(t.Context(), id)
		op.Revision, op.Stale, op.Fields, op.Created = got.Revision, got.Stale, subjectOf(got.Fields), r.created(got.Fields)
		if text := op.Fields["subject"]; text != nil {
			subject = *text
		}
		return err
	})
	return subject
}

// subjectOf are the fields that the history knows.
func subjectOf(fields []protocol.Field) map[string]history.Value {
	known := map[string]history.Value{}
	for _, f := range fields {
		if (f.Name == "subject" || f.Name == "category") && !f.Value.IsNull() {
			text := f.Value.Text()
			known[f.Name] = &text
		}
	}
	return known
}

// created is the ticket's time of creation according to its fields; 0 if the column has whole seconds, which are too coarse
// for the rule.
func (r *rig) created(fields []protocol.Field) time.Duration {
	for _, f := range fields {
		text := f.Value.Text()
		if at, err := time.Parse(time.DateTime, text); f.Name == "created_at" && err == nil && strings.Contains(text, ".") {
			return at.Sub(r.began)
		}
	}
	return 0
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
		p.RequestID, p.Identity = op.Request, r.identity(t)
		var enc protocol.Encoder
		frame, err := enc.Request(1, protocol.MethodSet, &p)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("%016d-%d-%016x.frame", time.Now().UnixMicro(), id, len(r.history.Ops))
		return h.drop(name, frame, os.Geteuid())
	})
}

func params(id int64, subject string) protocol.SetParams {
	return protocol.SetParams{ID: id, Fields: []protocol.Field{{Name: "subject", Value: protocol.Text(subject)}}}
}

// drop puts a file of a user into the spool of this process' user.
func (h *host) drop(name string, frame []byte, owner int) error {
	folder := filepath.Join(h.spool(), strconv.Itoa(os.Geteuid()))
	unnamed := filepath.Join(folder, ".tmp-"+name)
	if err := os.WriteFile(unnamed, frame, 0o640); err != nil {
		return err
	}
	if err := os.Chown(unnamed, owner, -1); err != nil {
		return err
	}
	return os.Rename(unnamed, filepath.Join(folder, name))
}

// identity is the table's, which clients write into the spool.
func (r *rig) identity(t *testing.T) (identity string) {
	t.Helper()
	row := r.db.QueryRowContext(t.Context(), "SELECT identity FROM wp_support_tickets_identity WHERE id = 1")
	if err := row.Scan(&identity); err != nil {
		t.Fatal(err)
	}
	return identity
}
