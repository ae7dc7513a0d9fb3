package site

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// Batch returns an empty batch for n changes. Its changes are made at the present time.
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

// only applies a batch of one change and returns its result.
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

// pairOf is one pair of a set_many as a set of its own.
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
	case err == nil && record.Deleted && !record.Behind && !record.Queued && // else its revision is not known for certain
		p.RequestID == "": // only the store knows whether the id was another request's
		return protocol.RevisionResult{Revision: int64(record.Revision)}, nil
	case errors.Is(err, errNoTicket) && p.RequestID != "":
		mustExist = true // the store alone knows whether this repeats a request; else it says that there is no ticket
	case err != nil && !looksFailed(err) && !errors.Is(err, errBehind):
		// While MySQL, its table or Redis is away the deletion is accepted unseen: it does no harm to a ticket that is not there.
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

// What a request is identified by, besides its request id: two requests under one id that differ in any of it are different
// ones. A create has no ticket id here, as a client that repeats one proposes another. How the request is to be acknowledged and
// for how long it is remembered may differ, and so may what the daemon adds: the time, and the table's defaults.
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

// digestBytes is how many bytes of the SHA-256 are kept: enough that two requests do not have the same digest by chance, and a
// client gains nothing by forging one.
const digestBytes = 8

// digest returns what identifies the request in the stores, as text; empty for a request without an id.
func (a asked) digest(requestID string) string {
	if requestID == "" {
		return ""
	}
	fields := slices.Clone(a.fields)
	slices.SortStableFunc(fields, func(x, y protocol.Field) int { return cmp.Compare(x.Name, y.Name) })
	b := binary.AppendVarint([]byte(string(a.method)+"\x00"), a.id)
	b = binary.AppendVarint(b, a.ifRevision)
	for _, f := range fields {
		b = appendText(b, f.Name)
		if f.Value.IsNull() {
			b = append(b, 0)
		} else {
			b = appendText(append(b, 1), f.Value.Text())
		}
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:digestBytes])
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
