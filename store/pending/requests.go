package pending

import (
	"cmp"
	"time"

	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/requests"
)

// Memory is how long a mutation's request id is remembered.
func Memory(m *store.Mutation) time.Duration {
	return min(cmp.Or(m.Remember, store.RequestMemory), store.RequestMemory)
}

// remember keeps what became of a mutation that has a request id. The caller holds the lock.
func (s *Store) remember(m *store.Mutation, outcome store.Outcome, expires time.Time, segment uint64) {
	s.requests.Put(s.opts.Now(), requests.Request{
		Key: requests.KeyOf(m.RequestID), Ticket: outcome.ID, Revision: outcome.Revision, Digest: requests.DigestOf(m.Digest),
		Expires: expires,
	}, segment)
}
