package site

import (
	"context"
	"errors"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Check implements [daemon.Site]. The entries go through the checks of their changes and are never applied, so that an import can
// say beforehand what the daemon is going to answer. Not foreseen are bounds of the store, and changes that other clients make
// meanwhile. Each entry is judged against the ticket's present state, also if several entries concern one ticket.
func (s *Site) Check(ctx context.Context, p *protocol.CheckParams) (protocol.CheckResult, error) {
	d, err := s.known()
	if err != nil {
		return protocol.CheckResult{}, err
	}
	b := s.Batch(len(p.Entries))
	for i := range p.Entries {
		switch entry := &p.Entries[i]; {
		case entry.Err != nil:
			b.Refuse(entry.ID, entry.Err)
		case entry.ID == 0:
			b.AddCreate(ctx, &protocol.CreateParams{Change: protocol.Change{RequestID: entry.RequestID}, Fields: entry.Fields})
		default:
			b.AddSet(ctx, &protocol.SetParams{ID: entry.ID, Fields: entry.Fields})
		}
	}
	b.refuseOutgrown(ctx)
	b.recognize(ctx)
	outcomes := make([]protocol.CheckOutcome, len(p.Entries))
	var exist []int // the entries of a ticket with an id
	for i := range outcomes {
		switch c := &b.changes[i]; {
		case c.outcome.Err != nil:
			outcomes[i].Err = refusal(c.outcome.Err)
		case c.ID == 0:
			outcomes[i].Differs = namesOf(p.Entries[i].Fields)
		default:
			exist = append(exist, i)
		}
	}
	for part := range slices.Chunk(exist, atOnce) {
		records, err := b.meet(ctx, d, part)
		if err != nil {
			return protocol.CheckResult{}, answer(err)
		}
		for n, i := range part {
			outcomes[i] = judgement(&p.Entries[i], &b.changes[i], &records[n])
		}
	}
	return protocol.CheckResult{Outcomes: outcomes}, nil
}

// never is a condition that no ticket meets.
const never = ticket.MaxRevision

// recognize gives each create whose request id is remembered the ticket that the request has made. The store knows the request
// ids only while it applies a mutation, so each create is sent to the store under a condition that no ticket meets: the store
// answers a repetition, and refuses, and forgets, every other request.
func (b *Batch) recognize(ctx context.Context) {
	var asked []int
	for _, i := range b.open() {
		if b.changes[i].RequestID != "" {
			asked = append(asked, i)
		}
	}
	if len(asked) == 0 {
		return
	}
	// A create needs an id. A free one, because a store that dies in between may keep the id for the request.
	id, err := b.site.IDs.Next(ctx)
	probes := make([]store.Mutation, len(asked))
	for n, i := range asked {
		m := b.changes[i].Mutation
		m.ID, m.IfRevision, m.Early = id, never, false
		b.stamp(&m)
		probes[n] = m
	}
	var found []store.Outcome
	if err == nil {
		found, err = b.site.Store.Apply(ctx, probes)
	}
	for n, i := range asked {
		outcome := store.Outcome{Err: err}
		if err == nil {
			outcome = found[n]
		}
		c := &b.changes[i]
		switch _, isNew := errors.AsType[*store.ConflictError](outcome.Err); {
		case isNew:
		case outcome.Err == nil:
			c.ID, c.outcome.ID = outcome.ID, outcome.ID
		default:
			c.outcome.Err = outcome.Err
		}
	}
}

// meet returns the tickets of some of the changes. A ticket without a row whose deletion only the table's marks show is returned
// as deleted.
func (b *Batch) meet(ctx context.Context, d *table.Definition, at []int) ([]store.Record, error) {
	ids := make([]ticket.ID, len(at))
	for n, i := range at {
		ids[n] = b.changes[i].ID
	}
	records, err := b.site.shown(ctx, d, ids)
	if err != nil || d.DeletedAt != "" && d.Side == "" {
		return records, err
	}
	var absent []ticket.ID
	for i := range records {
		if r := &records[i]; !r.Held() && !r.Behind && r.Err == nil {
			absent = append(absent, r.ID)
		}
	}
	if len(absent) == 0 {
		return records, nil
	}
	born, err := b.site.Database.Born(ctx, absent)
	if err != nil {
		return nil, err
	}
	for i := range records {
		if revision, marked := born[records[i].ID]; marked && !records[i].Held() {
			records[i].Deleted, records[i].Revision = true, max(revision, unwritten)
		}
	}
	return records, nil
}

// judgement says what an entry meets.
func judgement(entry *protocol.CheckEntry, c *change, r *store.Record) protocol.CheckOutcome {
	repeats := c.Kind.Creates()
	switch gone := !r.Held() || r.Deleted; {
	case r.Err != nil:
		return protocol.CheckOutcome{Err: refusal(r.Err)}
	case !r.Held() && r.Behind:
		return protocol.CheckOutcome{Err: refusal(errBehind)}
	case gone && repeats:
		return protocol.CheckOutcome{ID: int64(c.ID)}
	case r.Held() && r.Deleted:
		return protocol.CheckOutcome{Err: refusal(errNoTicket)}
	case gone:
		return protocol.CheckOutcome{ID: int64(c.ID), Differs: namesOf(entry.Fields)}
	case repeats:
		return protocol.CheckOutcome{ID: int64(c.ID), Revision: int64(r.Revision)}
	default:
		return protocol.CheckOutcome{ID: int64(c.ID), Revision: int64(r.Revision), Differs: differing(entry, c, r)}
	}
}

// differing returns the names of the fields whose values the change would alter, in the entry's order.
func differing(entry *protocol.CheckEntry, c *change, r *store.Record) []string {
	names := []string{}
	for _, f := range entry.Fields {
		wanted, _ := c.Fields.Get(f.Name) // in the column's form
		have, _ := r.Fields.Get(f.Name)   // a field that the whole ticket does not have is NULL
		if wanted.IsNull() != have.IsNull() || wanted.Text() != have.Text() {
			names = append(names, f.Name)
		}
	}
	return names
}

func namesOf(fields protocol.Fields) []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names
}
