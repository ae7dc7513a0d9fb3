package site

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Batch returns an empty batch for n changes. The changes get the present time.
func (s *Site) Batch(n int) *Batch {
	return &Batch{site: s, now: time.Now(), changes: make([]change, 0, n)}
}

// Create implements [daemon.Site].
func (s *Site) Create(ctx context.Context, p *protocol.CreateParams) (protocol.CreateResult, error) {
	b := s.Batch(1)
	b.AddCreate(ctx, p)
	outcome, err := b.only(ctx)
	if err != nil {
		return protocol.CreateResult{}, answerChange(err)
	}
	return protocol.CreateResult{ID: int64(outcome.ID), Revision: int64(outcome.Revision)}, nil
}

// Set implements [daemon.Site].
func (s *Site) Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error) {
	b := s.Batch(1)
	b.AddSet(ctx, p)
	outcome, err := b.only(ctx)
	if err != nil {
		return protocol.RevisionResult{}, answerSet(err)
	}
	return protocol.RevisionResult{Revision: int64(outcome.Revision)}, nil
}

// only applies a batch with a single change and returns the result.
func (b *Batch) only(ctx context.Context) (store.Outcome, error) {
	if err := b.Apply(ctx); err != nil {
		return store.Outcome{}, err
	}
	return b.Result(0)
}

// SetMany implements [daemon.Site].
func (s *Site) SetMany(ctx context.Context, p *protocol.SetManyParams) (protocol.SetManyResult, error) {
	if _, err := s.known(); err != nil {
		return protocol.SetManyResult{}, err
	}
	b := s.Batch(len(p.Tickets))
	for i := range p.Tickets {
		pair := &p.Tickets[i]
		if pair.Err != nil {
			b.Refuse(pair.ID, pair.Err)
			continue
		}
		b.AddSet(ctx, pairOf(p, i))
	}
	if err := b.Apply(ctx); err != nil {
		return protocol.SetManyResult{}, answerChange(err)
	}
	outcomes := make([]protocol.SetOutcome, len(p.Tickets))
	for i := range outcomes {
		outcome, err := b.Result(i)
		outcomes[i] = protocol.SetOutcome{Revision: int64(outcome.Revision), Err: refusal(err)}
	}
	return protocol.SetManyResult{Outcomes: outcomes}, nil
}

// pairOf returns a pair of a set_many as a set.
func pairOf(p *protocol.SetManyParams, i int) *protocol.SetParams {
	one := &protocol.SetParams{Change: p.Change, ID: p.Tickets[i].ID, Fields: p.Tickets[i].Fields, MustExist: p.MustExist}
	if p.RequestID != "" {
		one.RequestID += "#" + strconv.Itoa(i)
	}
	return one
}

// Delete implements [daemon.Site].
func (s *Site) Delete(ctx context.Context, p *protocol.DeleteParams) (protocol.RevisionResult, error) {
	d, err := s.known()
	if err != nil {
		return protocol.RevisionResult{}, err
	}
	mustExist := false
	record, err := s.lookUpInHalf(ctx, ticket.ID(p.ID))
	switch {
	case err == nil && record.Deleted && !record.Behind && !record.Queued && // otherwise the revision is uncertain
		p.RequestID == "": // only the store knows whether a different request had the id
		return protocol.RevisionResult{Revision: int64(record.Revision)}, nil
	case errors.Is(err, errNoTicket) && s.isMeta(): // WordPress has deleted the post before it says so
	case errors.Is(err, errNoTicket) && p.RequestID != "":
		mustExist = true // only the store knows whether the request is a repetition; if not, the store refuses the deletion
	case err != nil && !looksFailed(err) && !errors.Is(err, errBehind):
		// While MySQL, the table or Redis is unavailable, the deletion is accepted unchecked: the deletion of a ticket that does not
		// exist does no harm.
		return protocol.RevisionResult{}, answerChange(err)
	}
	b := s.Batch(1)
	b.AddDelete(d, p, mustExist)
	outcome, err := b.only(ctx)
	if err != nil {
		return protocol.RevisionResult{}, answerChange(err)
	}
	return protocol.RevisionResult{Revision: int64(outcome.Revision)}, nil
}

// asked identifies a request besides the request id: two requests under the same request id are different requests if a field of
// asked differs. A create has no ticket id here, because a client that repeats a create proposes a new id. Not compared: the
// wanted acknowledgement, how long the request is remembered, and the values that the daemon adds (times, defaults).
type asked struct {
	method     protocol.Method
	id         int64
	fields     []protocol.Field
	ifRevision int64
}

func askedCreate(p *protocol.CreateParams) asked {
	return asked{method: protocol.MethodCreate, fields: p.Fields}
}

func askedSet(p *protocol.SetParams) asked {
	return asked{method: protocol.MethodSet, id: cmp.Or(p.Named, p.ID), fields: p.Fields, ifRevision: p.IfRevision}
}

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

// errNoCreate refuses creates of a site with meta.
var errNoCreate = protocol.Invalid("kind", "the tickets of this site are WordPress' posts, which WordPress makes: set the "+
	"fields of a post that exists")

// refuseCreate returns why the site takes no creates; nil if it does.
func (s *Site) refuseCreate() error {
	if s.isMeta() {
		return errNoCreate
	}
	return nil
}
