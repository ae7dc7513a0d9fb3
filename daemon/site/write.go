package site

import (
	"cmp"
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// spare is room for the fields that the daemon adds itself.
const spare = 2

// Create implements [daemon.Site].
func (s *Site) Create(ctx context.Context, p *protocol.CreateParams) (protocol.CreateResult, error) {
	now := time.Now()
	m := store.Mutation{ID: ticket.ID(p.ID)}
	err := s.judged(ctx, func(d *table.Definition) (err error) {
		if m.Fields, err = d.Check(p.Fields.Own(spare)); err != nil {
			return err
		}
		m.Kind = store.Create
		if m.Fields, m.Defaults, err = d.Complete(m.Fields, now); err != nil {
			return err
		}
		if d.Computes() || p.ID != 0 {
			// The database adds columns of its own, or somebody who was told the id has set other fields of the ticket by now:
			// what is known here is not the whole ticket.
			m = m.Begun()
		}
		return nil
	})
	if size := extentOf(m.Fields); err == nil && !size.fits() {
		err = tooLarge(m.Fields, size)
	}
	if err != nil {
		return protocol.CreateResult{}, answerChange(err)
	}
	s.promise(&m, p.RequestID, p.Remember, p.Ack)
	m.Digest = asked{method: protocol.MethodCreate, fields: p.Fields}.digest(p.RequestID)
	var outcome store.Outcome
	if p.ID == 0 {
		outcome, err = s.createNext(ctx, now, &m)
	} else {
		m.Accepted = accepted(p.Accepted)
		outcome, err = s.createNamed(ctx, now, &m)
	}
	if err != nil {
		return protocol.CreateResult{}, answerChange(err)
	}
	return protocol.CreateResult{ID: int64(outcome.ID), Revision: int64(outcome.Revision)}, nil
}

// Set implements [daemon.Site].
func (s *Site) Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error) {
	now := time.Now()
	m, err := s.setMutation(ctx, now, p.ID, p.Fields)
	if err != nil {
		return protocol.RevisionResult{}, answerChange(err)
	}
	s.promise(&m, p.RequestID, p.Remember, p.Ack)
	of := asked{method: protocol.MethodSet, id: cmp.Or(p.Named, p.ID), fields: p.Fields, ifRevision: p.IfRevision}
	m.Digest = of.digest(p.RequestID)
	m.IfRevision, m.MustExist, m.Accepted = ticket.Revision(p.IfRevision), p.MustExist, accepted(p.Accepted)
	outcomes, err := s.applyAll(ctx, now, []store.Mutation{m})
	if err == nil {
		err = outcomes[0].Err
	}
	if err != nil {
		return protocol.RevisionResult{}, answerSet(err)
	}
	return protocol.RevisionResult{Revision: int64(outcomes[0].Revision)}, nil
}

// SetMany implements [daemon.Site].
func (s *Site) SetMany(ctx context.Context, p *protocol.SetManyParams) (protocol.SetManyResult, error) {
	if _, err := s.known(); err != nil {
		return protocol.SetManyResult{}, err
	}
	now := time.Now()
	outcomes := make([]protocol.SetOutcome, len(p.Tickets))
	mutations, at := make([]store.Mutation, 0, len(p.Tickets)), make([]int, 0, len(p.Tickets))
	for i := range p.Tickets {
		pair := &p.Tickets[i]
		if pair.Err != nil {
			outcomes[i].Err = pair.Err
			continue
		}
		m, err := s.setMutation(ctx, now, pair.ID, pair.Fields)
		if err != nil {
			outcomes[i].Err = refusal(err)
			continue
		}
		requestID := p.RequestID
		if requestID != "" {
			requestID += "#" + strconv.Itoa(i)
		}
		s.promise(&m, requestID, p.Remember, p.Ack)
		m.Digest = asked{method: protocol.MethodSet, id: pair.ID, fields: pair.Fields}.digest(requestID)
		m.MustExist = p.MustExist
		mutations, at = append(mutations, m), append(at, i)
	}
	if len(mutations) == 0 {
		return protocol.SetManyResult{Outcomes: outcomes}, nil
	}
	applied, err := s.applyAll(ctx, now, mutations)
	if err != nil {
		return protocol.SetManyResult{}, answerChange(err)
	}
	for i, outcome := range applied {
		outcomes[at[i]] = protocol.SetOutcome{Revision: int64(outcome.Revision), Err: refusal(outcome.Err)}
	}
	return protocol.SetManyResult{Outcomes: outcomes}, nil
}

// Delete implements [daemon.Site].
func (s *Site) Delete(ctx context.Context, p *protocol.DeleteParams) (protocol.RevisionResult, error) {
	d, err := s.known()
	if err != nil {
		return protocol.RevisionResult{}, err
	}
	id := ticket.ID(p.ID)
	mustExist := false
	record, err := s.lookUpInHalf(ctx, id)
	switch {
	case err == nil && record.Deleted && !record.Behind && !record.Queued && // else its revision is not known for certain
		p.RequestID == "": // only the store knows whether the id was another request's
		return protocol.RevisionResult{Revision: int64(record.Revision)}, nil
	case errors.Is(err, errNoTicket) && p.RequestID != "":
		mustExist = true // the store alone knows whether this repeats a request; else it says that there is no ticket
	case err != nil && !errors.Is(err, flush.ErrSinkDown) && !errors.Is(err, flush.ErrSinkPaused) && !errors.Is(err, errBehind):
		// While MySQL, its table or Redis is away the deletion is accepted unseen: it does no harm to a ticket that is not there.
		return protocol.RevisionResult{}, answerChange(err)
	}
	now := time.Now()
	s.use(id)
	fields, _ := d.SoftDelete(now)
	m := store.Mutation{Kind: store.Delete, ID: id, Fields: fields, MustExist: mustExist, Accepted: accepted(p.Accepted)}
	s.promise(&m, p.RequestID, p.Remember, p.Ack)
	m.Digest = asked{method: protocol.MethodDelete, id: cmp.Or(p.Named, p.ID)}.digest(p.RequestID)
	outcome, err := s.apply(ctx, now, &m)
	if err != nil {
		return protocol.RevisionResult{}, answerChange(err)
	}
	return protocol.RevisionResult{Revision: int64(outcome.Revision)}, nil
}

// lookUpInHalf is lookUp in half of the time that is left, so that a MySQL that hangs leaves some for what can be done
// without it.
func (s *Site) lookUpInHalf(ctx context.Context, id ticket.ID) (store.Record, error) {
	ctx, cancel := half(ctx)
	defer cancel()
	return s.lookUp(ctx, id)
}

// half is ctx with half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, bounded := ctx.Deadline(); bounded {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// setMutation checks the fields of one set.
func (s *Site) setMutation(ctx context.Context, now time.Time, id int64, fields ticket.Fields) (store.Mutation, error) {
	m := store.Mutation{Kind: store.Set, ID: ticket.ID(id)}
	err := s.judged(ctx, func(d *table.Definition) error {
		checked, err := d.Check(fields.Own(spare))
		if err == nil {
			m.Fields = d.Touch(checked, now)
		}
		return err
	})
	return m, err
}

// accepted is [store.Mutation.Accepted] for a request that a client has acknowledged itself.
func accepted(at time.Time) ticket.Revision {
	if at.IsZero() {
		return 0
	}
	return ticket.Revision(at.UnixMicro())
}

// promise gives a mutation what its request says of repeating it and of when it counts as made.
func (s *Site) promise(m *store.Mutation, requestID string, remember time.Duration, ack protocol.Ack) {
	m.RequestID, m.Remember = requestID, remember
	m.Early = ack == protocol.AckJournal || (ack == "" && s.Early)
}

// stamp gives a mutation its proposed revision and its times.
func (s *Site) stamp(now time.Time, m *store.Mutation) {
	m.Proposed, m.At = s.Clock.Propose(), 0
	if at := ticket.Revision(now.UnixMicro()); at < m.Proposed-store.AheadBy {
		m.At = at
	}
	m.Due = s.strategy.Load().Due(now, m)
}

// apply makes one mutation and tells the flusher when it is due.
func (s *Site) apply(ctx context.Context, now time.Time, m *store.Mutation) (store.Outcome, error) {
	s.stamp(now, m)
	outcome, err := store.Make(ctx, s.Store, *m)
	s.missing.written(m.ID)
	if err == nil {
		s.Flusher.Wake(m.Due)
	}
	return outcome, err
}

// known returns the table's definition, or that it is not known yet.
func (s *Site) known() (*table.Definition, error) {
	if d := s.Database.Definition(); d != nil {
		return d, nil
	}
	return nil, protocol.Errorf(protocol.CodeUnavailable,
		"the definition of the tickets table has not been read yet: MySQL does not answer, or the table is missing "+
			"(run 'ticketd migrate')")
}
