package check

import (
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// script writes histories by hand. Operations follow each other, an operation a millisecond, each by the script's current
// client and host; over stretches an operation over later operations.
type script struct {
	history.History

	client, host int
	now          time.Duration
}

// report shows the violations.
func report(found []history.Violation) string {
	var text strings.Builder
	for i := range found {
		text.WriteString(found[i].String())
	}
	return text.String()
}

// option changes an operation.
type option func(*history.Op)

func rev(n int64) option { return func(op *history.Op) { op.Revision = n } }

// over lets an operation go on while the next operations are made.
func over(next int) option {
	return func(op *history.Op) { op.Return += time.Duration(next) * time.Millisecond }
}

// earlier moves the call of an operation before the operations above.
func earlier(ms int) option {
	return func(op *history.Op) { op.Call -= time.Duration(ms) * time.Millisecond }
}

func by(client int) option      { return func(op *history.Op) { op.Client = client } }
func code(code string) option   { return func(op *history.Op) { op.Code = code } }
func reuses(id string) option   { return func(op *history.Op) { op.Request, op.Reused = id, true } }
func names(ticket int64) option { return func(op *history.Op) { op.Named = ticket } }
func at(host int) option        { return func(op *history.Op) { op.Host = host } }
func request(id string) option  { return func(op *history.Op) { op.Request = id } }
func unknown(op *history.Op)    { op.Outcome = history.Unknown }
func refused(op *history.Op)    { op.Outcome = history.Refused }
func stale(op *history.Op)      { op.Stale = true }
func missing(op *history.Op)    { op.Missing = true }
func intoSpool(op *history.Op)  { op.Code = history.Spooled }
func mustExist(op *history.Op)  { op.MustExist = true }
func auto(op *history.Op)       { op.Auto = true }
func byPage(op *history.Op)     { op.Via = "php" }

func lasts(d time.Duration) option {
	return func(op *history.Op) { op.Return = op.Call + d }
}

func madeAt(at time.Duration) option {
	return func(op *history.Op) { op.Created = at }
}
func (s *script) to(client int) { s.client, s.host = client, client }

func (s *script) do(kind history.Kind, ticket int64, values string, options ...option) {
	op := history.Op{
		Client: s.client, Host: s.host, Via: "go", Kind: kind, Ticket: ticket, Fields: fieldsOf(values), Outcome: history.Done,
		Call: s.now, Return: s.now + time.Millisecond/2,
	}
	for _, change := range options {
		change(&op)
	}
	s.now += time.Millisecond
	s.Ops = append(s.Ops, op)
}

func (s *script) create(ticket int64, values string, options ...option) {
	s.do(history.Create, ticket, values, options...)
}

func (s *script) set(ticket int64, values string, options ...option) {
	s.do(history.Set, ticket, values, options...)
}

func (s *script) get(ticket int64, values string, options ...option) {
	s.do(history.Get, ticket, values, options...)
}

// increment sets a counter under a condition; without a condition it makes the counter.
func (s *script) increment(ticket, ifRevision int64, number string, options ...option) {
	s.do(history.Increment, ticket, history.Counted+"="+number, options...)
	s.Ops[len(s.Ops)-1].IfRevision = ifRevision
}

func (s *script) remove(ticket int64, options ...option) {
	s.do(history.Delete, ticket, "", options...)
}

func (s *script) insert(ticket int64, values string, options ...option) {
	s.do(history.Insert, ticket, values, options...)
}

func (s *script) list(ticket, revision int64, values string) {
	s.do(history.List, 0, "")
	op := &s.Ops[len(s.Ops)-1]
	op.Tickets = append(op.Tickets, history.Read{Ticket: ticket, Revision: revision, Fields: fieldsOf(values)})
}

func (s *script) row(ticket, revision int64, values string) {
	s.Final.Rows = append(s.Final.Rows, history.Row{Ticket: ticket, Revision: revision, Fields: fieldsOf(values)})
}

// cutOff lets all changes of host 0 wait on that host.
func (s *script) cutOff() {
	s.Faults = append(s.Faults, history.Fault{Kind: "redis-cut", Target: "link redis 0", From: 0, To: time.Hour})
}

// aside leaves an operation in the host's bad/.
func (s *script) aside(which int) {
	op := &s.Ops[which]
	s.Final.Aside = append(s.Final.Aside, history.Aside{
		Host: op.Host, Kind: op.Kind, Ticket: op.Ticket, Request: op.Request, Fields: op.Fields,
	})
}

func (s *script) gone(ticket int64) {
	s.Final.Rows = append(s.Final.Rows, history.Row{Ticket: ticket, Revision: 99, Deleted: true})
}

func (s *script) dead(ticket int64, values string) {
	s.Final.Dead = append(s.Final.Dead, history.Row{Ticket: ticket, Fields: fieldsOf(values)})
}

func (s *script) fault(from, to time.Duration) {
	s.Faults = append(s.Faults, history.Fault{Kind: "kill", Target: "redis", From: from, To: to})
}

// heldAlone is a fault of a single ticket.
func (s *script) heldAlone(ticket int64, from, to time.Duration) {
	s.Faults = append(s.Faults, history.Fault{Kind: "quota", Target: "ticket", Ticket: ticket, From: from, To: to})
}

// fieldsOf reads "status=a subject=b"; a name without a value is NULL.
func fieldsOf(values string) map[string]history.Value {
	fields := map[string]history.Value{}
	for part := range strings.FieldsSeq(values) {
		name, value, given := strings.Cut(part, "=")
		fields[name] = nil
		if given {
			fields[name] = &value
		}
	}
	return fields
}
