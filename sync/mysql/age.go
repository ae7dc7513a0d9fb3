package mysql

import (
	"context"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/table"
)

// Born says since when, at the latest, the table knows tickets of these ids, as a revision: by the time of creation that the row
// has, or by its last change where that is before. Of a deleted ticket that has no row any more it is the deletion. Ids that the
// table does not know are left out.
func (db *DB) Born(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	const operation = "look since when there are tickets"
	d, err := db.known(ctx)
	if err != nil {
		return nil, err
	}
	rows, err := db.Rows(ctx, ids)
	if err != nil {
		return nil, err
	}
	born := make(map[ticket.ID]ticket.Revision, len(ids))
	for i := range rows {
		born[rows[i].ID] = bornBy(d, &rows[i])
	}
	places := db.markings(d)
	if place := places[len(places)-1]; place.table != quote(d.Table) {
		var gone []*row
		for _, id := range ids {
			if born[id] == 0 {
				gone = append(gone, &row{id: id})
			}
		}
		if len(gone) == 0 {
			return born, nil
		}
		deleted, err := readRevisions(ctx, db.pool,
			"SELECT "+place.key+",revision FROM "+place.table+" WHERE "+place.key+" IN ", place.deleted, gone)
		if err != nil {
			return nil, db.failure(operation, err)
		}
		for id, revision := range deleted {
			born[id] = max(revision.Revision, 1)
		}
	}
	return born, nil
}

// bornBy is since when, at the latest, a row's ticket has been there. A row at revision 0 was inserted by others, and one without
// a time of creation may be of any age, whenever it was changed: both count as old.
func bornBy(d *table.Definition, r *store.Record) ticket.Revision {
	const old = 1
	created, there := r.Fields.Get(d.CreatedAt)
	if !there || created.IsNull() {
		return old
	}
	at, err := time.Parse(time.DateTime, created.Text())
	if seconds, number := strconv.ParseInt(created.Text(), 10, 64); number == nil {
		at, err = time.Unix(seconds, 0), nil
	}
	if err != nil { // a date without a time, or nothing but zeros
		return old
	}
	at = at.Add(time.Second) // the column may have whole seconds
	return max(min(r.Revision, ticket.Revision(at.UnixMicro())), old)
}
