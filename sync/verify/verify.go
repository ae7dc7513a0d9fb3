// Package verify compares the store's tickets with the sink's rows and reports the differences.
package verify

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// Store is the store's side.
type Store interface {
	TicketIDs(ctx context.Context, f func([]ticket.ID) error) error
	Get(ctx context.Context, ids []ticket.ID) ([]store.Record, error)
	Indexed(ctx context.Context, ids []ticket.ID) ([]bool, error)
	Repair(ctx context.Context, ids []ticket.ID) (added, removed int, err error)
	Forget(ctx context.Context, ids []ticket.ID, revisions []ticket.Revision) error
}

// Table is the sink's side.
type Table interface {
	Rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error)
}

// Kind names a difference.
type Kind string

// The kinds of difference.
const (
	// Unindexed: the ticket is dirty but not in the index, so the ticket would never be flushed.
	Unindexed Kind = "dirty, but not in the index"
	// Overindexed: the index names a ticket that is clean or gone.
	Overindexed Kind = "in the index, but not dirty"
	// Stale: a clean copy differs from the row in MySQL: another program changed the row in SQL, or Redis went back in time.
	Stale Kind = "clean copy differs from MySQL"
	// Rowless: a clean copy has no row: another program deleted the row in SQL.
	Rowless Kind = "clean copy has no row in MySQL"
	// Foreign: the ticket's key does not hold a ticket. Repair keeps the key but removes the id from the index.
	Foreign Kind = "another program uses its Redis key"
	// Stray: another program wrote the ticket's hash. Repair keeps the hash: an import takes the hash over.
	Stray Kind = "its Redis hash was written by another program; 'ticketd import redis' takes it over"
)

// Difference is a ticket that the comparison complains about.
type Difference struct {
	ID   ticket.ID
	Kind Kind
	// Fields are the names of the fields that differ, for Stale.
	Fields []string

	revision ticket.Revision
}

func (d *Difference) String() string {
	text := fmt.Sprintf("ticket %d: %s", d.ID, d.Kind)
	if len(d.Fields) > 0 {
		text += ": " + strings.Join(d.Fields, ", ")
	}
	return text
}

// Options of a comparison.
type Options struct {
	// Share of the tickets to compare, above 0 to 1; 1 compares all tickets.
	Share float64
	// Repair rebuilds the index from the hashes and forgets clean copies that differ, so that the next read takes the row from
	// MySQL. Repair never changes a dirty ticket.
	Repair bool
	// PendingOnly says that clean copies do not count, because other programs write the rows and readers read them.
	PendingOnly bool
	// Report is called for each difference.
	Report func(*Difference)
}

// Summary counts compared tickets, differences and repairs.
type Summary struct {
	Looked, Differences, Repaired int
}

// Run compares, also beside daemons at work: a difference counts only if a second look finds it again.
func Run(ctx context.Context, s Store, t Table, o Options) (Summary, error) {
	var sum Summary
	err := s.TicketIDs(ctx, func(ids []ticket.ID) error {
		if o.Share < 1 {
			ids = sample(ids, o.Share)
		}
		if len(ids) == 0 {
			return nil
		}
		sum.Looked += len(ids)
		found, err := twice(ctx, s, t, ids, o.PendingOnly)
		if err != nil {
			return err
		}
		for i := range found {
			sum.Differences++
			o.Report(&found[i])
		}
		if !o.Repair {
			return nil
		}
		for i := range found {
			if found[i].Kind != Foreign && found[i].Kind != Stray { // repair removes the index entry and keeps the key
				sum.Repaired++
			}
		}
		return repair(ctx, s, found)
	})
	return sum, err
}

func sample(ids []ticket.ID, share float64) []ticket.ID {
	var some []ticket.ID
	for _, id := range ids {
		if rand.Float64() < share {
			some = append(some, id)
		}
	}
	return some
}

// twice compares, and looks at differences again: a write or a flush may have come in between.
func twice(ctx context.Context, s Store, t Table, ids []ticket.ID, pendingOnly bool) ([]Difference, error) {
	found, err := compare(ctx, s, t, ids, pendingOnly)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	again := make([]ticket.ID, len(found))
	for i := range found {
		again[i] = found[i].ID
	}
	return compare(ctx, s, t, again, pendingOnly)
}

// compare looks at tickets once.
func compare(ctx context.Context, s Store, t Table, ids []ticket.ID, pendingOnly bool) ([]Difference, error) {
	records, err := s.Get(ctx, ids)
	if err != nil {
		return nil, err
	}
	indexed, err := s.Indexed(ctx, ids)
	if err != nil {
		return nil, err
	}
	rows, err := t.Rows(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[ticket.ID]*store.Record, len(rows))
	for i := range rows {
		byID[rows[i].ID] = &rows[i]
	}
	var found []Difference
	for i := range records {
		d := judge(&records[i], indexed[i], byID[ids[i]])
		if d != nil && (!pendingOnly || d.Kind != Stale && d.Kind != Rowless) {
			found = append(found, *d)
		}
	}
	return found, nil
}

// judge returns the ticket's difference, or nil.
func judge(r *store.Record, indexed bool, row *store.Record) *Difference {
	d := &Difference{ID: r.ID, revision: r.Revision}
	switch {
	case r.Err != nil:
		d.Kind = Foreign
	case r.Stray != nil:
		d.Kind = Stray
	case r.Dirty && !indexed:
		d.Kind = Unindexed
	case !r.Dirty && indexed:
		d.Kind = Overindexed
	case r.Dirty || !r.Held():
		return nil
	case row == nil && r.Deleted:
		return nil // deleted for good
	case row == nil:
		d.Kind = Rowless
	default:
		if d.Fields = different(r, row); d.Fields == nil {
			return nil
		}
		d.Kind = Stale
	}
	return d
}

// different names the fields of a clean copy that differ from the row. A field that a whole copy does not hold is NULL.
func different(r *store.Record, row *store.Record) []string {
	var names []string
	for _, f := range r.Fields {
		if v, _ := row.Fields.Get(f.Name); v != f.Value {
			names = append(names, f.Name)
		}
	}
	for _, f := range row.Fields {
		if _, held := r.Fields.Get(f.Name); r.Full && !held && !f.Value.IsNull() {
			names = append(names, f.Name)
		}
	}
	return names
}

// repair corrects index entries and clean copies, never a dirty ticket.
func repair(ctx context.Context, s Store, found []Difference) error {
	var index, copies []ticket.ID
	var revisions []ticket.Revision
	for _, d := range found {
		switch d.Kind {
		case Unindexed, Overindexed, Foreign, Stray:
			index = append(index, d.ID)
		case Stale, Rowless:
			copies, revisions = append(copies, d.ID), append(revisions, d.revision)
		}
	}
	if len(index) > 0 {
		if _, _, err := s.Repair(ctx, index); err != nil {
			return err
		}
	}
	if len(copies) == 0 {
		return nil
	}
	return s.Forget(ctx, copies, revisions)
}
