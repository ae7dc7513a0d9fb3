package site

import (
	"context"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// Status implements [daemon.Site]. It answers while the store is away: what is not known then is zero.
func (s *Site) Status(ctx context.Context) (protocol.SiteStatus, error) {
	stats := s.Flusher.Stats()
	up, since, reason := s.StoreState()
	status := protocol.SiteStatus{
		Site: s.Name, Backend: s.Backend, Ack: protocol.AckRedis, Strategy: s.strategy.Load().Name,
		Store:    place(protocol.StateUp, since, reason),
		Warnings: s.Warnings(),
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
	state, since, reason := stats.Sink()
	status.Sink = place(protocol.State(state), since, reason)
	if s.Served != nil {
		if err := s.Served(); err != nil {
			status.Sink.State, status.Sink.Reason = protocol.StatePaused, err.Error()
		}
	}
	if backlog, err := s.Store.Backlog(ctx); err == nil {
		status.Dirty, status.Dead = backlog.Dirty, backlog.Dead
		if s.MaxDirty > 0 && backlog.Dirty >= int64(s.MaxDirty) {
			status.Warnings = append(status.Warnings, fmt.Sprintf("%d tickets wait for MySQL, as many as sites.%s.max_dirty (%d) allows: "+
				"changes of others are answered overloaded", backlog.Dirty, s.Name, s.MaxDirty))
		}
		if !backlog.Oldest.IsZero() {
			status.OldestDirtyMS = max(time.Since(backlog.Oldest).Milliseconds(), 0)
		}
	}
	// After the backlog: with none left, nothing of it is uncounted.
	status.FlushedRows, status.FlushStatements, status.FlushErrors = stats.Rows(), s.Statements(), stats.Failures()
	return status, nil
}

func place(state protocol.State, since time.Time, reason string) protocol.Place {
	return protocol.Place{State: state, SinceMS: time.Since(since).Milliseconds(), Reason: reason}
}
