package mysql

import (
	"fmt"
	"sync"

	"github.com/ticketd/ticketd/internal/ticket"
)

// A full table, disk or memory, a statement that was killed: the server says so of itself, and a trigger of the tickets table
// may meet it for one row, where it writes into a table of its own. Such a row is no dead letter, as nothing is wrong with it.
// It is tried again on its own, for as long as that takes, provided that the server takes other rows.

const (
	// maxUnfit bounds how many such rows of one call are found by halving; beyond it the parts that are left wait as a whole.
	maxUnfit = 12
	// maxMisfits bounds how many are remembered.
	maxMisfits = 10_000
)

// unfit is rows that the server does not take, with an answer that is about itself or about them.
type unfit struct {
	rows []row
	err  error
}

// misfits remembers the tickets that the server did not take while it took others: where such a ticket comes alone, the same
// answer is about the ticket. The zero value is ready.
type misfits struct {
	mu  sync.Mutex
	ids map[ticket.ID]bool
}

func (m *misfits) add(rows []row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ids == nil || len(m.ids) >= maxMisfits {
		m.ids = make(map[ticket.ID]bool)
	}
	for i := range rows {
		m.ids[rows[i].id] = true
	}
}

func (m *misfits) remove(rows []row) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		delete(m.ids, rows[i].id)
	}
}

func (m *misfits) has(rows []row) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range rows {
		if !m.ids[rows[i].id] {
			return false
		}
	}
	return true
}

// settleUnfit leaves rows for later that the server does not take, where it takes others. Else it is an outage.
func (w *write) settleUnfit() error {
	for i := range w.unfit {
		u := &w.unfit[i]
		if !w.taken && !w.misfits.has(u.rows) {
			return w.db.failure("write", u.err)
		}
	}
	for i := range w.unfit {
		u := &w.unfit[i]
		w.misfits.add(u.rows)
		w.later(u.rows, fmt.Errorf("mysql: other rows are taken, and this one is not: %w", u.err))
	}
	return nil
}
