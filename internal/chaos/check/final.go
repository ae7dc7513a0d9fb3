package check

import (
	"fmt"
	"maps"
	"math"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// final demands that all changes have arrived: see [history.Final].
func final(b *book) []history.Violation {
	var found []history.Violation
	if n := b.history.Final.Dirty; n > 0 {
		found = append(found, violation(RuleLeftDirty, 0, fmt.Sprintf("%d tickets are still dirty after everything was flushed", n)))
	}
	for _, p := range b.pages() {
		if len(p.changes) == 0 || p.disputed() {
			continue
		}
		if p.dead != nil && p.dead.Deleted {
			found = append(found, violation(RuleDeleted, p.id, "a deletion is a dead letter, and MySQL still has the ticket"))
		}
		found = append(found, p.existence(b)...)
		if p.alive() {
			found = append(found, p.settled(b)...)
		}
	}
	return found
}

// alive reports whether the ticket exists in the end, at least as a dead letter.
func (p *page) alive() bool {
	switch {
	case p.dead != nil && p.dead.Deleted:
		return false
	case p.row != nil:
		return !p.row.Deleted
	default:
		return p.dead != nil
	}
}

// deeds are the last deletion that was acknowledged, the last other change that was, and the last deletion of unknown outcome.
func (p *page) deeds() (gone, made, maybe *history.Op) {
	for _, op := range p.changes {
		switch {
		case op.Kind == history.Delete && op.Outcome == history.Done:
			gone = op
		case op.Kind == history.Delete:
			maybe = op
		case op.Outcome == history.Done:
			made = op
		}
	}
	return gone, made, maybe
}

// existence judges whether the ticket must exist in the end. A deletion of unknown outcome may have been made.
func (p *page) existence(b *book) []history.Violation {
	gone, made, maybe := p.deeds()
	switch {
	case p.alive() && gone != nil:
		return []history.Violation{violation(RuleDeleted, p.id, "a ticket that was deleted is there in the end", gone)}
	case p.alive() || gone != nil || maybe != nil:
		return nil
	case made != nil && p.row == nil:
		return []history.Violation{violation(RuleMissing, p.id, "a ticket that was acknowledged has neither row nor dead letter", made)}
	case p.row != nil && (made != nil || !b.nobodys(p)):
		return []history.Violation{violation(RuleNowhere, p.id, "a ticket is deleted without a deletion", p.changes[len(p.changes)-1])}
	default:
		return nil
	}
}

// settled judges the fields of an existing ticket. A value that MySQL refused counts as in the dead letter.
func (p *page) settled(b *book) []history.Violation {
	var found []history.Violation
	fields := p.last()
	for _, field := range p.fields() {
		value := fields[field]
		if writer, newer := p.lost(b, field, value); newer != nil {
			ops := []*history.Op{newer}
			if writer != nil {
				ops = append(ops, writer)
			}
			told := fmt.Sprintf("%s is %s in the end, although %s was acknowledged later", field, text(value), text(newer.Fields[field]))
			found = append(found, violation(RuleFinal, p.id, told, ops...))
		}
	}
	if p.row == nil || p.dead != nil {
		return found
	}
	for _, op := range p.changes {
		if op.Outcome == history.Done && op.Revision > p.row.Revision {
			return append(found, violation(RuleFinalLower, p.id,
				fmt.Sprintf("the row has revision %d, below the acknowledged %d", p.row.Revision, op.Revision), op))
		}
	}
	return found
}

// lost is an acknowledged change later than the change whose value is there in the end, as seen on the change's own host.
func (p *page) lost(b *book, field string, value history.Value) (writer, newer *history.Op) {
	asked := map[int]bool{}
	for _, change := range p.changes {
		if asked[change.Host] {
			continue
		}
		asked[change.Host] = true
		end := &history.Op{Host: change.Host, Call: math.MaxInt64}
		if writer, newer = p.outdated(b, field, value, end); newer != nil {
			return writer, newer
		}
	}
	return nil, nil
}

// last is the ticket in the end: the row, overlaid by the dead letter.
func (p *page) last() map[string]history.Value {
	fields := map[string]history.Value{}
	for _, row := range []*history.Row{p.row, p.dead} {
		if row == nil {
			continue
		}
		maps.Copy(fields, row.Fields)
	}
	return fields
}
