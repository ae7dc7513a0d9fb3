package relay

import (
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// maxAside bounds the refused changes that [Store.Aside] names; the log has all.
const maxAside = 16

// Aside is a change that waited for its next store, which refused it for good: its ticket was created after the change was
// acknowledged. It is in no place any more.
type Aside struct {
	Ticket   ticket.ID
	Deletion bool
	Accepted time.Time // when it was acknowledged
}

// Aside returns the latest of these changes since the journal was opened, the oldest first, and how many there were.
func (s *Store) Aside() (latest []Aside, count int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append(latest, s.aside...), s.asideCount
}

// setAside notes a replayed change that is of an earlier ticket than the one that has its id. The log names the fields, and not
// their values: they are somebody's.
func (s *Store) setAside(e *store.Entry) {
	m := &e.Mutation
	names := make([]string, len(m.Fields))
	for i := range m.Fields {
		names[i] = m.Fields[i].Name
	}
	a := Aside{m.ID, m.Kind == store.Delete, time.UnixMicro(int64(m.Dated()))}
	s.opts.Log.Error().Int64("ticket", int64(m.ID)).Bool("deletion", a.Deletion).Strs("fields", names).
		Time("acknowledged", a.Accepted).Str("request_id", m.RequestID).
		Msg("a change was acknowledged while Redis was away, before the ticket that has its id was created: it means another ticket, " +
			"and is not made")
	s.mu.Lock()
	defer s.mu.Unlock()
	if a.Deletion {
		s.recent.forget(m.ID) // the ticket that has the id was not deleted
	}
	s.asideCount++
	if s.aside = append(s.aside, a); len(s.aside) > maxAside {
		s.aside = s.aside[1:]
	}
}
