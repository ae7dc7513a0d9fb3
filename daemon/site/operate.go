package site

import (
	"context"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/flush"
)

// Status implements [daemon.Site]. Status answers while the store is unreachable; unknown figures are zero then.
func (s *Site) Status(ctx context.Context, operator bool) (protocol.SiteStatus, error) {
	stats := s.Flusher.Stats()
	up, since, reason := s.StoreState()
	status := protocol.SiteStatus{
		Site: s.Name, Backend: s.Backend, Ack: protocol.AckRedis, Strategy: s.strategy.Load().Name,
		Store:    place(protocol.StateUp, since, reason),
		Warnings: s.Warnings(operator),
	}
	if status.Backend == "" {
		status.Backend = protocol.BackendRedis
	}
	if s.Early || status.Backend == protocol.BackendJournal {
		status.Ack = protocol.AckJournal
	}
	if s.Journal != nil {
		status.Journal = s.Journal()
	}
	if !up {
		status.Store.State = protocol.StateDown
	}
	state, since, reason := s.SinkState()
	status.Sink = place(protocol.State(state), since, reason)
	if backlog, err := s.Store.Backlog(ctx); err == nil {
		status.Dirty, status.Dead = backlog.Dirty, backlog.Dead
		if s.MaxDirty > 0 && backlog.Dirty >= int64(s.MaxDirty) {
			status.Warnings = append(status.Warnings, fmt.Sprintf("%d tickets are pending, as many as sites.%s.max_dirty (%d) allows: "+
				"changes of other tickets are answered overloaded", backlog.Dirty, s.Name, s.MaxDirty))
		}
		if !backlog.Oldest.IsZero() {
			status.OldestDirtyMS = max(time.Since(backlog.Oldest).Milliseconds(), 0)
		}
	}
	// These figures are read after the backlog: when the backlog is empty, every flushed row is counted.
	status.FlushedRows, status.FlushStatements, status.FlushErrors = stats.Rows(), s.Statements(), stats.Failures()
	return status, nil
}

// SinkState returns the state of the site's MySQL, since when, and why. A site that may not be served is paused, unless its
// MySQL is down, which then is the cause.
func (s *Site) SinkState() (state flush.SinkState, since time.Time, reason string) {
	state, since, reason = s.Flusher.Stats().Sink()
	if s.Served == nil {
		return state, since, reason
	}
	switch err := s.Served(); {
	case err == nil:
		return state, since, reason
	case state == flush.SinkDown:
		return state, since, err.Error() + ": " + reason
	default:
		return flush.SinkPaused, since, err.Error()
	}
}

func place(state protocol.State, since time.Time, reason string) protocol.Place {
	return protocol.Place{State: state, SinceMS: time.Since(since).Milliseconds(), Reason: reason}
}

// Flush implements [daemon.Site].
func (s *Site) Flush(
	ctx context.Context, p *protocol.FlushParams, progress func(done, total int64),
) (protocol.FlushResult, error) {
	var ids []ticket.ID // nil: all
	if !p.All {
		ids = idsOf(p.IDs)
	}
	moved, err := s.Flusher.Flush(ctx, ids, func(done, total int) { progress(int64(done), int64(total)) })
	if err == nil && s.Stuck != nil {
		err = s.Stuck(ids)
	}
	if err != nil {
		return protocol.FlushResult{}, answer(err)
	}
	return protocol.FlushResult{Flushed: int64(moved.Flushed), Dead: int64(moved.Dead)}, nil
}

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
			arrange(d, wire.Fields)
			wire.CutTo(left / (limit - len(result.Letters))) // an equal share of the room that is left
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
	if n > 0 { // acknowledged changes are lost on request: the log keeps a record
		s.Log.Warn().Int64("tickets", n).Ints64("ids", p.IDs).Bool("all", p.All).Msg("dead letters were dropped on request")
	}
	return protocol.CountResult{Count: n}, answer(err)
}

// eachDead calls do with the requested ids, or with the ids of all dead letters, and returns the sum of the results.
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
