package postmeta

import (
	"context"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/mysql"
)

// held returns which tickets have rows that other clients hold locked: the existing rows that a locking read skips. The read's
// own locks end with the statement. Missing rows are left out, as their gaps would be locked.
func (w *write) held(ctx context.Context, at []int) (map[ticket.ID]bool, error) {
	c := &w.sink.config
	ids := make([]any, len(at))
	for i, n := range at {
		ids[i] = int64(w.changes[n].id)
	}
	held := map[ticket.ID]bool{}
	owner, ownerID := mysql.Quote(c.Type.Key), mysql.Quote(c.Type.OwnerID)
	for _, of := range []struct{ table, id, ticket string }{
		{c.side(), owner, owner}, {c.meta(), mysql.Quote(c.Type.ID), owner}, {c.owner(), ownerID, ownerID},
	} {
		if of.table == c.meta() && len(c.Keys) == 0 {
			continue
		}
		query := "SELECT " + of.id + "," + of.ticket + " FROM " + mysql.Quote(of.table) + " WHERE " + of.ticket + " IN " + in(len(ids))
		values := slices.Clone(ids)
		if of.table == c.meta() {
			query += " AND " + keyColumn + " IN " + in(len(c.Keys))
			for _, key := range c.Keys {
				values = append(values, key)
			}
		}
		there, err := w.rows(ctx, query, values)
		if err != nil {
			return nil, err
		}
		if len(there) == 0 {
			continue
		}
		existing := make([]any, 0, len(there))
		for id := range there {
			existing = append(existing, id)
		}
		free, err := w.rows(ctx, "SELECT "+of.id+","+of.ticket+" FROM "+mysql.Quote(of.table)+" WHERE "+of.id+" IN "+
			in(len(existing))+" FOR UPDATE SKIP LOCKED", existing)
		if err != nil {
			return nil, err
		}
		for id, of := range there {
			if _, is := free[id]; !is {
				held[of] = true
			}
		}
	}
	return held, nil
}

// rows returns the tickets of rows, by the rows' ids.
func (w *write) rows(ctx context.Context, query string, args []any) (map[int64]ticket.ID, error) {
	rows, err := w.sink.db.Query(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[int64]ticket.ID{}
	for rows.Next() {
		var id int64
		var of ticket.ID
		if err := rows.Scan(&id, &of); err != nil {
			return nil, err
		}
		found[id] = of
	}
	return found, rows.Err()
}
