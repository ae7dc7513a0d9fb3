package feed

import (
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
)

// window holds the events that were read from the store and that the destination has not confirmed yet.
type window struct {
	parts []part
	items []*item // in the order in which they were read
}

// part is the courier's place in a partition.
type part struct {
	known  bool         // the cursor was read from the store
	away   bool         // the partition does not answer
	stored store.Cursor // as the store has it
	read   store.Cursor // behind the last page
	base   uint64       // number of the last event before the oldest one that was read, where stored is the empty cursor
	pages  []*page
}

// page is the result of a read of the store. The cursor can pass the page when no item of the page is open.
type page struct {
	partition int
	next      store.Cursor
	open      int
}

// item is an event on its way to the destination.
type item struct {
	event ticket.Event
	page  *page // nil for an event that was not read from the feed
}

// follow continues from the store's cursors where they are not the cursors that this courier has stored, and says whether there
// was such a partition. A partition without a cursor does not answer now: its events wait.
func (w *window) follow(partitions int, cursors map[int]store.Cursor) (moved bool) {
	if len(w.parts) != partitions {
		w.parts = make([]part, partitions)
	}
	for i := range w.parts {
		c, answers := cursors[i]
		p := &w.parts[i]
		switch {
		case !answers:
			p.away = true
		case p.known && p.stored == c:
			p.away = false
		default:
			moved = true
			w.items = slices.DeleteFunc(w.items, func(it *item) bool { return it.page != nil && it.page.partition == i })
			*p = part{known: true, stored: c, read: c}
		}
	}
	return moved
}

// forget begins all partitions again at the next [window.follow].
func (w *window) forget() {
	for i := range w.parts {
		w.parts[i].known = false
	}
}

// add takes the events of a page, as the destination gets them.
func (w *window) add(partition int, read *store.FeedPage, events []ticket.Event) {
	p := &w.parts[partition]
	if p.read == "" && len(read.Events) > 0 {
		p.base = read.Events[0].Number - min(read.Events[0].Number, 1)
	}
	p.read = read.Next
	of := &page{partition: partition, next: read.Next, open: len(events)}
	p.pages = append(p.pages, of)
	for i := range events {
		w.items = append(w.items, &item{event: events[i], page: of})
	}
}

// resolve removes items that need no further try.
func (w *window) resolve(done map[*item]bool) {
	if len(done) == 0 {
		return
	}
	rest := w.items[:0]
	for _, it := range w.items {
		if !done[it] {
			rest = append(rest, it)
		} else if it.page != nil {
			it.page.open--
		}
	}
	clear(w.items[len(rest):])
	w.items = rest
}

// passed is the cursor up to which all events of the partition are resolved.
func (p *part) passed() store.Cursor {
	upTo := p.stored
	for _, of := range p.pages {
		if of.open > 0 {
			break
		}
		upTo = of.next
	}
	return upTo
}

// advanced notes that the store has the cursor.
func (w *window) advanced(partition int, upTo store.Cursor) {
	p := &w.parts[partition]
	p.stored = upTo
	for len(p.pages) > 0 && p.pages[0].open == 0 {
		last := p.pages[0].next == upTo
		p.pages = p.pages[1:]
		if last {
			break
		}
	}
}
