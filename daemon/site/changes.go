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

// digestBytes is the number of bytes kept of the SHA-256: enough that two requests do not have the same digest by chance. A
// client gains no advantage by forging a digest.
const digestBytes = 8

// digest returns the text that identifies the request in the stores; empty without a request id.
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
