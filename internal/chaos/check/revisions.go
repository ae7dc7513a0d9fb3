package check

import (
	"container/heap"
	"fmt"
	"maps"
	"slices"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// revisions demands that on each host the revisions of a ticket grow in the order of operations that did not overlap, and
// that no two changes share a revision. Journals of several hosts may give the same revision: journals do not know of each
// other, and after a clock was ahead, every new revision is the last plus one. The same holds for a host before and after the
// end of its daemon, see setBack.
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

// numbered are the operations with a certain revision, by time of call.
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

// showsAside reports whether an answer shows a change that was set aside later, with the change's revision: the ticket itself
// may have a lower revision.
func (p *page) showsAside(read *history.Op) bool {
	return !changes(read) && slices.ContainsFunc(p.aside, func(op *history.Op) bool {
		of := func(field string) bool { return slices.Contains(p.writers[writtenOf(field, read.Fields[field])], op) }
		return op.Host == read.Host && (op.Revision == read.Revision || slices.ContainsFunc(slices.Collect(maps.Keys(read.Fields)), of))
	})
}

// growing compares each operation with the highest revision of the operations that ended earlier.
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

// follows reports whether the revision of an operation may follow that of an earlier operation. The revision must be higher;
// a read may repeat the same revision, and so may the answer to a second deletion, see also inVain.
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

// mayShare reports whether two changes of a ticket may have the same revision: journals of two hosts may have acknowledged
// them.
func (b *book) mayShare(x, y *history.Op) bool {
	if x.Host == y.Host {
		return x.Call < y.Call && b.setBack(x, y) || y.Call < x.Call && b.setBack(y, x)
	}
	return b.history.Early || !b.quiet(min(x.Call, y.Call), max(x.Return, y.Return))
}

// again reports whether an operation is a deletion of a ticket that was, or may have been, deleted already: such a deletion
// changes no ticket and returns the ticket's revision. That revision may belong to a change accepted in vain after the first
// deletion.
func (p *page) again(op *history.Op) bool {
	return op.Kind == history.Delete && slices.ContainsFunc(p.changes, func(first *history.Op) bool {
		return first != op && first.Kind == history.Delete && first.Call < op.Return
	})
}

// byReturn is a heap of running operations, the first to end on top.
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
