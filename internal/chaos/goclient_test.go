package chaos

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/protocol"
)

// goCaller calls a daemon through the Go client, over a single connection until it breaks.
type goCaller struct {
	host   *host
	client *protocol.Client
}

// callTimeout bounds a try of a call.
const callTimeout = 3 * time.Second

// between is the pause of a client before it repeats a change.
const between = 100 * time.Millisecond

func (g *goCaller) close() {
	if g.client != nil {
		_ = g.client.Close()
		g.client = nil
	}
}

// call makes an operation. A change of unknown outcome is repeated under the same request id, as often as the operation says.
func (g *goCaller) call(ctx context.Context, op *history.Op) {
	most, maybe := op.Tries, false
	for op.Tries = 1; ; op.Tries++ {
		op.Outcome, op.Code = g.try(ctx, op)
		if op.Outcome == history.Refused && maybe {
			op.Outcome = history.Unknown // an earlier try may have been made
		}
		maybe = maybe || op.Outcome == history.Unknown
		if op.Outcome != history.Unknown || op.Tries >= most {
			return
		}
		time.Sleep(between)
	}
}

// try sends an operation once.
func (g *goCaller) try(ctx context.Context, op *history.Op) (history.Outcome, string) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if g.client == nil {
		client, err := protocol.Dial(ctx, g.host.socket)
		if err != nil {
			return history.Refused, "dial"
		}
		g.client = client
	}
	err := g.send(ctx, op)
	var answer *protocol.Error
	if errors.Is(err, protocol.ErrBroken) || errors.As(err, &answer) && answer.Closing {
		g.close()
	}
	if op.Kind == history.Get && answer != nil && answer.Code == protocol.CodeNotFound {
		op.Missing = true
		return history.Done, string(answer.Code)
	}
	return outcome(op.Kind, err)
}

// outcome is the outcome of an operation with this error.
func outcome(kind history.Kind, err error) (history.Outcome, string) {
	if err == nil {
		return history.Done, ""
	}
	code := "lost"
	if answer := (*protocol.Error)(nil); errors.As(err, &answer) {
		code = string(answer.Code)
	} else if errors.Is(err, context.DeadlineExceeded) {
		code = "timeout"
	}
	reads := kind == history.Get || kind == history.List
	ambiguous := slices.Contains([]string{"lost", "timeout", string(protocol.CodeUnavailable), string(protocol.CodeInternal)}, code)
	if ambiguous && !reads {
		return history.Unknown, code
	}
	return history.Refused, code
}

// send makes the call and records the answer.
func (g *goCaller) send(ctx context.Context, op *history.Op) error {
	switch op.Kind {
	case history.Create:
		made, err := g.client.CreateWith(ctx, protocol.CreateParams{
			Change: protocol.Change{RequestID: op.Request}, ID: op.Named, Fields: toWire(op.Fields),
		})
		if err == nil {
			op.Ticket, op.Revision = made.ID, made.Revision
		}
		return err
	case history.Set, history.Increment:
		revision, err := g.client.Set(ctx, protocol.SetParams{
			Change: protocol.Change{RequestID: op.Request, Ack: protocol.Ack(op.Ack)},
			ID:     op.Ticket, Fields: toWire(op.Fields), MustExist: op.MustExist, IfRevision: op.IfRevision,
		})
		op.Revision = revision
		return err
	case history.Delete:
		revision, err := g.client.Delete(ctx, op.Ticket, op.Request)
		op.Revision = revision
		return err
	case history.Get:
		found, err := g.client.Get(ctx, op.Ticket)
		op.Fields, op.Revision, op.Stale = fromWire(found.Fields), found.Revision, found.Stale
		return err
	default:
		return g.list(ctx, op)
	}
}

// listed is the length of a list's page.
const listed = 20

func (g *goCaller) list(ctx context.Context, op *history.Op) error {
	p := protocol.ListParams{Limit: listed}
	for _, f := range toWire(op.Fields) {
		p.Where = append(p.Where, protocol.Filter{Field: f.Name, Values: []protocol.Value{f.Value}})
	}
	page, err := g.client.List(ctx, p)
	if err != nil {
		return err
	}
	op.Stale = page.Stale
	for _, one := range page.Tickets {
		op.Tickets = append(op.Tickets, history.Read{Ticket: one.ID, Revision: one.Revision, Fields: fromWire(one.Fields)})
	}
	return nil
}

func toWire(fields map[string]history.Value) []protocol.Field {
	var list []protocol.Field
	for _, name := range sorted(fields) {
		value := protocol.Null
		if text := fields[name]; text != nil {
			value = protocol.Text(*text)
		}
		list = append(list, protocol.Field{Name: name, Value: value})
	}
	return list
}

// fromWire keeps the fields that the workload writes.
func fromWire(list []protocol.Field) map[string]history.Value {
	fields := make(map[string]history.Value)
	for _, f := range list {
		if !slices.Contains(history.Fields, f.Name) {
			continue
		}
		fields[f.Name] = nil
		if text := f.Value.Text(); !f.Value.IsNull() {
			fields[f.Name] = &text
		}
	}
	return fields
}
