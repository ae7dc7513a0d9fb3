package mysql

import (
	"context"
	"database/sql"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/sync/table"
)

// delete removes rows that are not newer than their deletion, and leaves tombstones.
func (w *write) delete(ctx context.Context, deletions []row) error {
	for _, batch := range batches(sorted(deletions), w.db.config.MaxRows, w.packet/2) {
		bury := w.bury
		if w.definition.Side != "" {
			bury = w.buryBeside
		}
		if err := w.bring(ctx, batch, rowlessDelete(w.definition), bury); err != nil {
			return err
		}
	}
	return nil
}

// notStrangers returns the deletions whose row is the ticket's own. A create that was deleted before it arrived may meet another
// ticket's row, which must not change.
func (w *write) notStrangers(ctx context.Context, tx *sql.Tx, rows []row) ([]row, error) {
	if !slices.ContainsFunc(rows, func(r row) bool { return r.floor > 0 }) {
		return rows, nil
	}
	d := w.definition
	held, err := readRevisions(ctx, tx, "SELECT "+quote(d.Key)+","+quote(d.Revision)+" FROM "+quote(d.Table)+
		" WHERE "+quote(d.Key)+" IN ", " LOCK IN SHARE MODE", pointers(rows))
	if err != nil {
		return nil, err
	}
	own := make([]row, 0, len(rows))
	for i := range rows {
		if row, there := held[rows[i].id]; there && row.Revision < rows[i].floor {
			w.stranger(&rows[i], false)
			continue
		}
		own = append(own, rows[i])
	}
	return own, nil
}

func (w *write) bury(ctx context.Context, rows []row) error {
	d := w.definition
	tickets, key, revision, tombstones := quote(d.Table), quote(d.Key), quote(d.Revision), w.db.tombstones()
	err := w.db.transact(ctx, func(tx *sql.Tx) (err error) {
		if rows, err = w.notStrangers(ctx, tx, rows); err != nil || len(rows) == 0 {
			return err
		}
		insert := "INSERT INTO " + tombstones + " (ticket_id,revision) VALUES " +
			strings.TrimSuffix(strings.Repeat("(?,?),", len(rows)), ",") +
			" ON DUPLICATE KEY UPDATE revision=GREATEST(revision,VALUES(revision))"
		dead := make([]any, 0, 2*len(rows))
		for i := range rows {
			dead = append(dead, int64(rows[i].id), int64(rows[i].revision))
		}
		if _, err := w.exec(ctx, tx, insert, dead...); err != nil {
			return err
		}
		list, ids := keys(pointers(rows))
		_, err = w.exec(ctx, tx, "DELETE "+tickets+" FROM "+tickets+" JOIN "+tombstones+" AS tombstone"+
			" ON tombstone.ticket_id="+tickets+"."+key+" AND "+tickets+"."+revision+"<=tombstone.revision"+
			" WHERE tombstone.ticket_id IN "+list, ids...)
		return err
	})
	if err != nil || len(rows) == 0 {
		return err
	}
	newer, err := readRevisions(ctx, w.db.pool,
		"SELECT "+key+","+revision+" FROM "+tickets+" WHERE "+key+" IN ", "", pointers(rows))
	if err != nil {
		return err
	}
	for i := range rows {
		left := newer[rows[i].id]
		if left.odd != "" {
			w.refuseOdd(&rows[i], left.odd)
			continue
		}
		w.stored(&rows[i], max(rows[i].revision, left.Revision))
	}
	return nil
}

// rowlessDelete returns the statements of a deletion without a row.
func rowlessDelete(d *table.Definition) []string {
	return append([]string{"DELETE FROM " + quote(d.Table) + " WHERE FALSE"}, besides(d)...)
}
