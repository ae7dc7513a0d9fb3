package site

import (
	"context"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// A site whose tickets are WordPress' posts shares the rows with WordPress and other plugins, which write them at any time. So
// the store's clean copies do not count: what is not pending is read from MySQL.

// isMeta says that the site's tickets are WordPress' posts or users.
func (s *Site) isMeta() bool {
	return s.Description.Kind == protocol.KindPostMeta || s.Description.Kind == protocol.KindUserMeta
}

// get reads tickets from the store, of a site with meta without clean copies.
func (s *Site) get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	records, err := s.Store.Get(ctx, ids)
	if !s.isMeta() {
		return records, err
	}
	for i := range records {
		r := &records[i]
		r.Fields, r.Full = r.Fields[:r.Changed], false
	}
	return records, err
}

// What WordPress does with its posts itself.
var (
	errNoCreate = protocol.Invalid("kind", "the tickets of this site are WordPress' posts, which WordPress makes: set the fields "+
		"of a post that exists")
	errNoLists = protocol.Invalid("kind", "the tickets of this site are WordPress' posts, which WordPress' queries find and count: "+
		"read single tickets with get")
)

// refuseCreate returns why the site takes no creates; nil if it does.
func (s *Site) refuseCreate() error {
	if s.isMeta() {
		return errNoCreate
	}
	return nil
}

// refuseLists returns why the site's tickets cannot be listed; nil if they can.
func (s *Site) refuseLists() error {
	if s.isMeta() {
		return errNoLists
	}
	return nil
}
