package check

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// crowd makes the history of a hot ticket: clients that read and write at once, each operation taking effect at a random
// moment between call and return. For some writes the outcome is unknown to the client.
func crowd(clients, each int) *history.History {
	r := rand.New(rand.NewPCG(1, 2))
	h := &history.History{Hosts: 1}
	type event struct {
		op    history.Op
		point time.Duration
	}
	var queue []*event
	now := make([]time.Duration, clients)
	for n := range clients * each {
		c := n % clients
		call := now[c] + time.Duration(r.IntN(1000))
		point := call + time.Duration(r.IntN(1000))
		e := &event{point: point, op: history.Op{
			Client: c, Kind: history.Set, Ticket: 1, Outcome: history.Done, Call: call, Return: point + time.Duration(r.IntN(1000)),
		}}
		now[c] = e.op.Return + 1
		switch {
		case n%3 == 0:
			e.op.Kind = history.Get
		case n%10 == 1:
			e.op.Outcome = history.Unknown
			e.point += time.Duration(r.IntN(5000))
			e.op.Client = clients + n
			fallthrough
		default:
			value := fmt.Sprint("v", n)
			e.op.Fields = map[string]history.Value{[]string{"status", "subject"}[n%2]: &value}
		}
		queue = append(queue, e)
	}
	slices.SortStableFunc(queue, func(x, y *event) int { return cmp.Compare(x.point, y.point) })
	fields, revision := fieldsOf("status=open subject="), int64(0)
	made := false
	for _, e := range queue {
		if e.op.Kind == history.Get {
			e.op.Missing = !made
			if made {
				e.op.Revision, e.op.Fields = revision, map[string]history.Value{"status": fields["status"], "subject": fields["subject"]}
			}
		} else {
			revision++
			made = true
			maps.Copy(fields, e.op.Fields)
			if e.op.Outcome == history.Done {
				e.op.Revision = revision
			}
		}
		h.Ops = append(h.Ops, e.op)
	}
	h.Final.Rows = []history.Row{{Ticket: 1, Revision: revision, Fields: fields}}
	return h
}

// A hot ticket's thousands of operations are decided in a moment, and a single wrong answer among them is found.
func TestCrowd(t *testing.T) {
	t.Parallel()
	begin := time.Now()
	h := crowd(8, 200)
	if found := All(h); len(found) > 0 {
		t.Fatalf("refused:\n%s", report(found))
	}
	t.Logf("%d operations in %v", len(h.Ops), time.Since(begin))
	var first *history.Op
	for i := range h.Ops {
		op := &h.Ops[i]
		if op.Kind != history.Get || op.Missing {
			continue
		}
		if first == nil {
			first = op
		} else if i > len(h.Ops)/2 {
			op.Fields["status"] = first.Fields["status"]
			break
		}
	}
	found := All(h)
	if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == RuleLinear }) {
		t.Errorf("a wrong answer was not found, only:\n%s", report(found))
	}
}

// Changes of unknown outcome whose ticket no answer shows are decided in a moment, however many they are, and a single answer
// that shows the ticket is judged.
func TestChangesThatNoAnswerShows(t *testing.T) {
	t.Parallel()
	var s script
	for n := range 30 {
		s.set(1, fmt.Sprint("status=s", n), unknown)
		s.set(1, fmt.Sprint("subject=t", n), unknown)
	}
	missing := func(op *history.Op) { op.Missing = true }
	s.get(1, "", missing)
	if found := newBook(&s.History).linear(time.Second, time.Now().Add(allTime)); len(found) > 0 {
		t.Errorf("refused:\n%s", report(found))
	}
	s.get(1, "status=s7 subject=", rev(10))
	s.get(1, "status=s7 subject=", rev(9))
	s.get(1, "", missing)
	s.Ops = append(s.Ops[:1:1], s.Ops[len(s.Ops)-4:]...)
	found := newBook(&s.History).linear(time.Second, time.Now().Add(allTime))
	if !slices.ContainsFunc(found, func(v history.Violation) bool { return v.Rule == RuleLinear }) {
		t.Errorf("a ticket that was shown and then was missing is passed; found:\n%s", report(found))
	}
}
