package ids

import "github.com/ticketd/ticketd/internal/ticket"

// Use says that a ticket has this id, so that [Allocator.Next] does not return it. Ids in no leased block are ignored: no lease
// will have them, as the sequence is behind them by then.
func (a *Allocator) Use(id ticket.ID) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, s := range []*span{&a.now, &a.next} {
		if id >= s.first && id < s.first+ticket.ID(s.left) {
			if a.used == nil {
				a.used = map[ticket.ID]bool{}
			}
			a.used[id] = true
		}
	}
}

// skip passes over ids that are used. The caller holds mu.
func (a *Allocator) skip() {
	for a.now.left > 0 && a.used[a.now.first] {
		delete(a.used, a.now.first)
		a.now.first++
		a.now.left--
	}
}
