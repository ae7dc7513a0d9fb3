package postmeta

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// attempt writes the changes at the given places in one transaction:
//
//  1. lock the side rows in the order of the ids, and leave out what they overtake;
//  2. find the rows of the managed keys, without a lock;
//  3. lock the posts that the outcome depends on against their deletion;
//  4. update rows by meta_id, insert missing rows, update the posts' columns, delete what a deletion left;
//  5. write the revisions.
func (w *write) attempt(ctx context.Context, tx *mysql.Tx, at []int) error {
	a := &attempt{sink: w.sink, room: w.room, tx: tx, tombs: map[ticket.ID]bool{}}
	for _, n := range at {
		w.changes[n].gone = false
		a.changes = append(a.changes, &w.changes[n])
	}
	slices.SortFunc(a.changes, func(x, y *change) int { return cmp.Compare(x.id, y.id) })
	for _, step := range []struct {
		name string
		run  func(context.Context) error
	}{
		{"guard", a.guard}, {"find", a.find}, {"posts", a.lockPosts}, {"update", a.update}, {"insert", a.insert}, {"show", a.show},
		{"delete", a.deleteRows}, {"revisions", a.revisions},
	} {
		if len(a.changes) == 0 && step.name != "revisions" {
			continue
		}
		w.sink.step(step.name)
		if err := step.run(ctx); err != nil {
			return err
		}
	}
	w.sink.step("commit")
	return nil
}

// attempt is a transaction under way.
type attempt struct {
	sink    *Sink
	room    int
	tx      *mysql.Tx
	changes []*change // those that are still to be written, by id
	fresh   []ticket.ID
	tombs   map[ticket.ID]bool // tickets with a tombstone
	rows    []metaRow          // of the managed keys, by meta_id
	posts   map[ticket.ID]bool // those that exist, of those that were asked for
	done    []*change          // their revisions are to be written
	spare   []ticket.ID        // side rows that the guard made for nothing
}

type metaRow struct {
	id    int64
	owner ticket.ID
	key   string
}

func (a *attempt) ids() []any {
	ids := make([]any, len(a.changes))
	for i, c := range a.changes {
		ids[i] = int64(c.id)
	}
	return ids
}

// guard locks the side rows, making missing ones, and settles the changes that the side table has overtaken.
func (a *attempt) guard(ctx context.Context) error {
	config := &a.sink.config
	side, key := mysql.Quote(config.side()), mysql.Quote(config.Type.Key)
	ids := a.ids()
	query := "INSERT INTO " + side + " (" + key + ",revision) VALUES " + repeat("(?,0)", len(ids)) +
		" ON DUPLICATE KEY UPDATE revision=revision"
	if _, err := a.tx.Exec(ctx, query, ids...); err != nil {
		return err
	}
	// The INSERT has locked all of these rows, and each statement sees what is committed.
	held, err := a.readSide(ctx, "SELECT "+key+",revision,deleted FROM "+side+" WHERE "+key+" IN "+in(len(ids)), ids)
	if err != nil {
		return err
	}
	open := a.changes[:0]
	for _, c := range a.changes {
		h := held[c.id]
		a.tombs[c.id] = h.deleted
		if h.revision == 0 && !h.deleted {
			a.fresh = append(a.fresh, c.id)
		}
		switch {
		case h.revision > ticket.Ceiling:
			a.tx.Stored(c.at, flush.Result{Refused: &flush.Refusal{Code: outOfRange, Reason: fmt.Sprintf("the revision %d in %s is "+
				"none, so another program has written it: set it to 0 in this row and retry the dead letter", h.revision, config.side())}})
		case h.revision >= c.final, h.revision >= c.revision && h.deleted:
			a.tx.Stored(c.at, flush.Result{Revision: h.revision})
		case h.revision >= c.revision: // the values are there, or newer ones, and the revision alone is missing
			a.tx.Stored(c.at, flush.Result{Revision: c.final})
			a.done = append(a.done, c)
		default:
			open = append(open, c)
		}
	}
	a.changes = open
	return nil
}

const outOfRange = 1264

type sideRow struct {
	revision ticket.Revision
	deleted  bool
}

func (a *attempt) readSide(ctx context.Context, query string, args []any) (map[ticket.ID]sideRow, error) {
	held := make(map[ticket.ID]sideRow, len(args))
	err := a.read(ctx, query, args, func(rows *sql.Rows) error {
		var id ticket.ID
		var revision uint64
		var r sideRow
		if err := rows.Scan(&id, &revision, &r.deleted); err != nil {
			return err
		}
		r.revision = ticket.Revision(min(revision, uint64(ticket.Ceiling)+1))
		held[id] = r
		return nil
	})
	return held, err
}

// read runs a query and calls each with every row.
func (a *attempt) read(ctx context.Context, query string, args []any, each func(*sql.Rows) error) error {
	rows, err := a.tx.Query(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// find reads which rows the managed keys have.
func (a *attempt) find(ctx context.Context) error {
	config := &a.sink.config
	wanted := map[string]bool{}
	var ids []any
	for _, c := range a.changes {
		if c.deleted {
			for _, key := range config.Keys {
				wanted[key] = true
			}
		}
		for i := range c.values {
			wanted[c.values[i].name] = true
		}
		if c.deleted || len(c.values) > 0 {
			ids = append(ids, int64(c.id))
		}
	}
	if len(ids) == 0 || len(wanted) == 0 {
		return nil
	}
	args := ids
	for key := range wanted {
		args = append(args, key)
	}
	id, owner := mysql.Quote(config.Type.ID), mysql.Quote(config.Type.Key)
	query := "SELECT " + id + "," + owner + "," + keyColumn + " FROM " + mysql.Quote(config.meta()) + " WHERE " + owner + " IN " +
		in(len(ids)) + " AND " + keyColumn + " IN " + in(len(wanted)) + " ORDER BY " + id
	return a.read(ctx, query, args, func(rows *sql.Rows) error {
		var r metaRow
		if err := rows.Scan(&r.id, &r.owner, &r.key); err != nil {
			return err
		}
		if wanted[r.key] { // the collation finds keys that differ in case, too
			a.rows = append(a.rows, r)
		}
		return nil
	})
}

// lockPosts locks the posts on whose existence an outcome depends, and takes out the changes whose outcome that is.
func (a *attempt) lockPosts(ctx context.Context) error {
	ids, asked := a.questioned()
	if err := a.readPosts(ctx, ids); err != nil {
		return err
	}
	open := a.changes[:0]
	for _, c := range a.changes {
		switch exists := !asked[c.id] || a.posts[c.id]; {
		case c.deleted && exists: // the tombstone would block the changes of a living post
			a.tx.Stored(c.at, flush.Result{Revision: c.final, Ahead: true, Void: true})
			a.skip(c)
		case !c.deleted && !exists:
			c.gone = true
			a.tx.Stored(c.at, flush.Result{Revision: c.final, Ahead: true})
			a.skip(c)
		default:
			a.tx.Stored(c.at, flush.Result{Revision: c.final})
			open, a.done = append(open, c), append(a.done, c)
		}
	}
	a.changes = open
	return nil
}

// questioned returns the posts on whose existence an outcome depends: all but those that have each row of their change.
func (a *attempt) questioned() (ids []any, asked map[ticket.ID]bool) {
	there := map[ticket.ID]map[string]bool{}
	for _, r := range a.rows {
		if there[r.owner] == nil {
			there[r.owner] = map[string]bool{}
		}
		there[r.owner][r.key] = true
	}
	asked = map[ticket.ID]bool{}
	for _, c := range a.changes {
		lacking := slices.ContainsFunc(c.values, func(v value) bool { return !there[c.id][v.name] })
		if c.deleted || lacking || a.tombs[c.id] || len(c.values) == 0 {
			ids, asked[c.id] = append(ids, int64(c.id)), true
		}
	}
	return ids, asked
}

// readPosts reads which of the posts exist, and locks these.
func (a *attempt) readPosts(ctx context.Context, ids []any) error {
	a.posts = map[ticket.ID]bool{}
	if len(ids) == 0 {
		return nil
	}
	config := &a.sink.config
	id := mysql.Quote(config.Type.OwnerID)
	query := "SELECT " + id + " FROM " + mysql.Quote(config.owner()) + " FORCE INDEX (PRIMARY) WHERE " + id + " IN " + in(len(ids)) +
		" ORDER BY " + id + " LOCK IN SHARE MODE"
	return a.read(ctx, query, ids, func(rows *sql.Rows) error {
		var id ticket.ID
		err := rows.Scan(&id)
		a.posts[id] = true
		return err
	})
}

// skip leaves the side row of a change as the guard met it.
func (a *attempt) skip(c *change) {
	if slices.Contains(a.fresh, c.id) {
		a.spare = append(a.spare, c.id)
	}
}
