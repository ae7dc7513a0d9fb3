package site

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// DeadList implements [daemon.Site].
func (s *Site) DeadList(ctx context.Context, p *protocol.DeadListParams) (protocol.DeadListResult, error) {
	d, err := s.known()
	if err != nil {
		return protocol.DeadListResult{}, err
	}
	limit := p.Limit
	if limit == 0 {
		limit = protocol.DefaultLimit
	}
	result := protocol.DeadListResult{Letters: []protocol.Letter{}}
	after, left := ticket.ID(p.After), protocol.PageBytes
	for len(result.Letters) < limit {
		n := min(limit-len(result.Letters), atOnce)
		letters, err := s.Store.Letters(ctx, after, n)
		if err != nil {
			return protocol.DeadListResult{}, answer(err)
		}
		for i := range letters {
			wire := protocol.Letter{Letter: letters[i]}
			for n := range wire.Fields {
				wire.Fields[n].Value = wireValue(d, wire.Fields[n])
			}
			wire.CutTo(left / (limit - len(result.Letters))) // its share: what others leave is for those after them
			left -= wire.Bytes()
			result.Letters = append(result.Letters, wire)
		}
		if len(letters) < n {
			break
		}
		after = letters[n-1].ID
	}
	return result, nil
}

// DeadRetry implements [daemon.Site].
func (s *Site) DeadRetry(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error) {
	now := time.Now()
	n, err := s.eachDead(ctx, p, func(ids []ticket.ID) (int, error) { return s.Store.Retry(ctx, now, ids) })
	s.Flusher.Wake(now)
	return protocol.CountResult{Count: n}, answer(err)
}

// DeadDrop implements [daemon.Site].
func (s *Site) DeadDrop(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error) {
	n, err := s.eachDead(ctx, p, func(ids []ticket.ID) (int, error) { return s.Store.Drop(ctx, ids) })
	if n > 0 { // acknowledged changes are gone, on somebody's word: that is to be found again
		s.Log.Warn().Int64("tickets", n).Ints64("ids", p.IDs).Bool("all", p.All).Msg("dead letters were dropped on request")
	}
	return protocol.CountResult{Count: n}, answer(err)
}

// eachDead calls do with the ids that are asked for, or with those of all dead letters, and adds up what it returns.
func (s *Site) eachDead(ctx context.Context, p *protocol.DeadParams, do func([]ticket.ID) (int, error)) (int64, error) {
	if !p.All {
		n, err := do(idsOf(p.IDs))
		return int64(n), err
	}
	var sum int64
	for after := ticket.ID(0); ; {
		letters, err := s.Store.Letters(ctx, after, protocol.MaxTickets)
		if err != nil || len(letters) == 0 {
			return sum, err
		}
		n, err := do(idsOfLetters(letters))
		sum += int64(n)
		if err != nil {
			return sum, err
		}
		after = letters[len(letters)-1].ID // upwards only: a ticket that is dead again meanwhile is not met twice
	}
}

func idsOfLetters(letters []ticket.Letter) []ticket.ID {
	ids := make([]ticket.ID, len(letters))
	for i := range letters {
		ids[i] = letters[i].ID
	}
	return ids
}
