package check

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// revisions demands that on each host the revisions of a ticket grow in the order of operations that did not overlap, and that
// no two changes share one. Journals of several hosts may give the same: they do not know of each other, and once a clock was
// ahead, all revisions are one above the last. So may a host before and after its daemon has ended, see setBack.
func revisions(b *book) []history.Violation {
	var found []history.Violation
	for _, p := range b.pages() {
		if !p.disputed() {
			found = append(found, p.growing(b)...)
		}
		found = append(found, p.unique(b)...)
	}
	return found
}

// numbered are the operations that tell a revision for certain, by the time of their call.
func (p *page) numbered() []*history.Op {
	var ops []*history.Op
	for _, op := range slices.Concat(p.changes, p.reads) {
		if op.Outcome == history.Done && op.Revision > 0 && !op.Stale && !p.showsAside(op) {
			ops = append(ops, op)
		}
	}
	byCall(ops)
	return ops
}

// showsAside tells whether an answer shows a change that was set aside later, with its revision: the ticket itself may have a
// lower one.
func (p *page) showsAside(read *history.Op) bool {
	return !changes(read) && slices.ContainsFunc(p.aside, func(op *history.Op) bool {
		of := func(field string) bool { return slices.Contains(p.writers[writtenOf(field, read.Fields[field])], op) }
		return op.Host == read.Host && (op.Revision == read.Revision || slices.ContainsFunc(slices.Collect(maps.Keys(read.Fields)), of))
	})
}

// growing compares each operation with the highest revision of those that had ended before it.
func (p *page) growing(b *book) []history.Violation {
	var found []history.Violation
	type state struct {
		running byReturn
		highest *history.Op
	}
	hosts := map[int]*state{}
	for _, op := range p.numbered() {
		s := hosts[op.Host]
		if s == nil {
			s = &state{}
			hosts[op.Host] = s
		}
		for len(s.running) > 0 && s.running[0].Return < op.Call {
			ended, _ := heap.Pop(&s.running).(*history.Op)
			if s.highest == nil || ended.Revision > s.highest.Revision {
				s.highest = ended
			}
		}
		if before := s.highest; before != nil && !p.follows(before, op) && !b.setBack(before, op) {
			found = append(found, violation(RuleRevisions, p.id,
				fmt.Sprintf("after revision %d came %d", before.Revision, op.Revision), before, op))
		}
		heap.Push(&s.running, op)
	}
	return found
}

// follows tells whether an operation may have its revision after an earlier one had its own: a higher one, but that a read shows
// the earlier one again, and so does the answer to a second deletion, see also inVain.
func (p *page) follows(before, op *history.Op) bool {
	same := !changes(op) || p.again(op)
	return op.Revision > before.Revision || same && op.Revision == before.Revision || p.inVain(before, op)
}

// inVain tells whether a second deletion received a revision below that of a change that was accepted after the first, and had no
// effect.
func (p *page) inVain(change, op *history.Op) bool {
	return p.again(op) && slices.ContainsFunc(p.changes, func(first *history.Op) bool {
		return first.Kind == history.Delete && first != change && first != op && first.Return < change.Return
	})
}

// setBack tells whether the clock of any host was ahead at some time, and the daemon of the later operation's host ended between
// the two: one that starts while Redis and MySQL are away knows nothing of the revisions that ran ahead of its clock, and its
// journal gives lower ones until then.
func (b *book) setBack(before, op *history.Op) bool {
	ahead := func(f *history.Fault) bool { return f.Kind == "clock-skew" && f.From < before.Return }
	return b.befell(ahead) && b.ended(before, op)
}

// ended tells whether the daemon of a later operation's host may have ended since an earlier one.
func (b *book) ended(before, op *history.Op) bool {
	return b.befell(func(f *history.Fault) bool {
		ends := f.Kind == "daemon-kill" || f.Kind == "daemon-restart" || f.Kind == "moved"
		return ends && strings.HasSuffix(f.Target, fmt.Sprintf("daemon %d", op.Host)) && f.From < op.Return && before.Call < f.To
	})
}

// befell tells whether there was such a fault.
func (b *book) befell(is func(*history.Fault) bool) bool {
	for i := range b.history.Faults {
		if is(&b.history.Faults[i]) {
			return true
		}
	}
	return false
}

func (p *page) unique(b *book) []history.Violation {
	var found []history.Violation
	given := map[int64][]*history.Op{}
	for _, op := range p.changes {
		if op.Outcome != history.Done || op.Revision == 0 {
			continue
		}
		for _, other := range given[op.Revision] {
			if !p.again(op) && !p.again(other) && !b.mayShare(other, op) {
				found = append(found, violation(RuleUnique, p.id,
					fmt.Sprintf("two changes were given revision %d", op.Revision), other, op))
			}
		}
		given[op.Revision] = append(given[op.Revision], op)
	}
	return found
}

// again tells whether an operation is a deletion of a ticket that was deleted already, or may have been: it changes nothing and
// is told the revision that the ticket has. That may be a change's which was accepted after the first deletion, in vain.
func (p *page) again(op *history.Op) bool {
	return op.Kind == history.Delete && slices.ContainsFunc(p.changes, func(first *history.Op) bool {
		return first != op && first.Kind == history.Delete && first.Call < op.Return
	})
}

// mayShare tells whether two changes of a ticket may have the same revision: journals of two hosts may have acknowledged them.
func (b *book) mayShare(x, y *history.Op) bool {
	if x.Host == y.Host {
		return x.Call < y.Call && b.setBack(x, y) || y.Call < x.Call && b.setBack(y, x)
	}
	return b.history.Early || !b.quiet(min(x.Call, y.Call), max(x.Return, y.Return))
}

// byReturn is a heap of operations that are under way, the one that ends first on top.
type byReturn []*history.Op

// Len implements [heap.Interface].
func (q *byReturn) Len() int { return len(*q) }

// Less implements [heap.Interface].
func (q *byReturn) Less(i, j int) bool { return (*q)[i].Return < (*q)[j].Return }

// Swap implements [heap.Interface].
func (q *byReturn) Swap(i, j int) { (*q)[i], (*q)[j] = (*q)[j], (*q)[i] }

// Push implements [heap.Interface].
func (q *byReturn) Push(x any) {
	if op, ok := x.(*history.Op); ok {
		*q = append(*q, op)
	}
}

// Pop implements [heap.Interface].
func (q *byReturn) Pop() any {
	last := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return last
}
