package postmeta

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

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

// maxUnion bounds the rows of a joined UPDATE: the parser keeps each SELECT of the list.
const maxUnion = 250

// repeat writes n items, separated by commas.
func repeat(item string, n int) string { return strings.TrimSuffix(strings.Repeat(item+",", n), ",") }

// list collects rows of a statement up to a number and a size.
type list struct {
	most, room int
	run        func(ctx context.Context, n int, args []any) error

	n, bytes int
	args     []any
}

func (l *list) add(ctx context.Context, bytes int, args ...any) error {
	if l.n > 0 && (l.n >= l.most || l.bytes+bytes > l.room) {
		if err := l.flush(ctx); err != nil {
			return err
		}
	}
	l.n, l.bytes, l.args = l.n+1, l.bytes+bytes, append(l.args, args...)
	return nil
}

func (l *list) flush(ctx context.Context) error {
	if l.n == 0 {
		return nil
	}
	n, args := l.n, l.args
	l.n, l.bytes, l.args = 0, 0, nil
	return l.run(ctx, n, args)
}

// update writes the values of rows by their meta_id; a row that has vanished since is not made again. The index is forced: a
// scan, which the server finds cheaper for a small table, would wait for every row that another client holds.
func (a *attempt) update(ctx context.Context) error {
	config := &a.sink.config
	values := a.byOwner()
	l := &list{most: maxUnion, room: a.room, run: func(ctx context.Context, n int, args []any) error {
		query := "UPDATE (SELECT ? AS id,? AS v" + strings.Repeat(" UNION ALL SELECT ?,?", n-1) + ") AS n STRAIGHT_JOIN " +
			mysql.Quote(config.meta()) + " AS m FORCE INDEX (PRIMARY) ON m." + mysql.Quote(config.Type.ID) +
			"=n.id SET m." + valueColumn + "=n.v"
		_, err := a.tx.Exec(ctx, query, args...)
		return err
	}}
	for _, r := range a.rows {
		v, wanted := values[r.owner][r.key]
		if !wanted {
			continue
		}
		if err := l.add(ctx, len(v.value.Text()), r.id, v.arg()); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

// byOwner returns the values to write, by ticket and meta key.
func (a *attempt) byOwner() map[ticket.ID]map[string]*value {
	values := make(map[ticket.ID]map[string]*value, len(a.changes))
	for _, c := range a.changes {
		values[c.id] = make(map[string]*value, len(c.values))
		for i := range c.values {
			values[c.id][c.values[i].name] = &c.values[i]
		}
	}
	return values
}

// insert makes the rows that are missing. Their posts are there, and locked.
func (a *attempt) insert(ctx context.Context) error {
	config := &a.sink.config
	values := a.byOwner()
	for _, r := range a.rows {
		delete(values[r.owner], r.key)
	}
	l := &list{most: maxUnion, room: a.room, run: func(ctx context.Context, n int, args []any) error {
		_, err := a.tx.Exec(ctx, "INSERT INTO "+mysql.Quote(config.meta())+" ("+mysql.Quote(config.Type.Key)+","+keyColumn+","+
			valueColumn+") VALUES "+repeat("(?,?,?)", n), args...)
		return err
	}}
	for _, c := range a.changes {
		for _, key := range slices.Sorted(maps.Keys(values[c.id])) {
			v := values[c.id][key]
			if err := l.add(ctx, len(v.value.Text()), int64(c.id), key, v.arg()); err != nil {
				return err
			}
		}
	}
	return l.flush(ctx)
}

// show writes columns of the posts, and never makes a post. Changes of the same columns share statements.
func (a *attempt) show(ctx context.Context) error {
	lists := map[string]*list{}
	var order []string
	for _, c := range a.changes {
		if len(c.shown) == 0 {
			continue
		}
		columns := make([]string, len(c.shown))
		args, bytes := []any{int64(c.id)}, 0
		for i := range c.shown {
			columns[i] = c.shown[i].name
			args, bytes = append(args, c.shown[i].arg()), bytes+len(c.shown[i].value.Text())
		}
		shape := strings.Join(columns, ",")
		if lists[shape] == nil {
			lists[shape] = &list{most: maxUnion, room: a.room, run: a.showing(columns)}
			order = append(order, shape)
		}
		if err := lists[shape].add(ctx, bytes, args...); err != nil {
			return err
		}
	}
	for _, shape := range order {
		if err := lists[shape].flush(ctx); err != nil {
			return err
		}
	}
	return nil
}

// showing returns the UPDATE of some columns.
func (a *attempt) showing(columns []string) func(ctx context.Context, n int, args []any) error {
	config := &a.sink.config
	names, sets := make([]string, len(columns)), make([]string, len(columns))
	for i, column := range columns {
		name := mysql.Quote(column)
		names[i] = ",? AS " + name
		sets[i] = "p." + name + "=n." + name
	}
	first := "SELECT ? AS id" + strings.Join(names, "")
	further := " UNION ALL SELECT ?" + strings.Repeat(",?", len(columns))
	return func(ctx context.Context, n int, args []any) error {
		query := "UPDATE (" + first + strings.Repeat(further, n-1) + ") AS n STRAIGHT_JOIN " + mysql.Quote(config.owner()) +
			" AS p FORCE INDEX (PRIMARY) ON p." + mysql.Quote(config.Type.OwnerID) + "=n.id SET " + strings.Join(sets, ",")
		if len(config.PostTypes) > 0 {
			query += " WHERE p." + typeColumn + " IN " + in(len(config.PostTypes))
			for _, name := range config.PostTypes {
				args = append(args, name)
			}
		}
		_, err := a.tx.Exec(ctx, query, args...)
		return err
	}
}

// deleteRows removes the rows that are left of deleted posts.
func (a *attempt) deleteRows(ctx context.Context) error {
	deleted := map[ticket.ID]bool{}
	for _, c := range a.changes {
		deleted[c.id] = c.deleted
	}
	config := &a.sink.config
	l := &list{most: mysql.DefaultMaxRows, room: a.room, run: func(ctx context.Context, n int, args []any) error {
		_, err := a.tx.Exec(ctx, "DELETE FROM "+mysql.Quote(config.meta())+" WHERE "+mysql.Quote(config.Type.ID)+" IN "+in(n), args...)
		return err
	}}
	for _, r := range a.rows {
		if !deleted[r.owner] {
			continue
		}
		if err := l.add(ctx, 0, r.id); err != nil {
			return err
		}
	}
	return l.flush(ctx)
}

// revisions writes the revisions of what was written, and takes back the side rows that the guard made for nothing.
func (a *attempt) revisions(ctx context.Context) error {
	config := &a.sink.config
	side, key := mysql.Quote(config.side()), mysql.Quote(config.Type.Key)
	l := &list{most: mysql.DefaultMaxRows, room: a.room, run: func(ctx context.Context, n int, args []any) error {
		_, err := a.tx.Exec(ctx, "INSERT INTO "+side+" ("+key+",revision,deleted) VALUES "+repeat("(?,?,?)", n)+
			" ON DUPLICATE KEY UPDATE revision=VALUES(revision),deleted=VALUES(deleted)", args...)
		return err
	}}
	for _, c := range a.done {
		if err := l.add(ctx, 0, int64(c.id), int64(c.final), c.deleted); err != nil {
			return err
		}
	}
	if err := l.flush(ctx); err != nil || len(a.spare) == 0 {
		return err
	}
	ids := make([]any, len(a.spare))
	for i, id := range a.spare {
		ids[i] = int64(id)
	}
	_, err := a.tx.Exec(ctx, "DELETE FROM "+side+" WHERE "+key+" IN "+in(len(ids))+" AND revision=0", ids...)
	return err
}

// rowless returns the statements of an attempt without a row.
func (c *Config) rowless() []string {
	meta, owner, side := mysql.Quote(c.meta()), mysql.Quote(c.owner()), mysql.Quote(c.side())
	key := mysql.Quote(c.Type.Key)
	all := []string{
		"INSERT INTO " + side + " (" + key + ",revision,deleted) SELECT NULL,NULL,NULL FROM DUAL WHERE FALSE",
		"UPDATE " + meta + " SET " + valueColumn + "=" + valueColumn + " WHERE FALSE",
		"INSERT INTO " + meta + " (" + key + "," + keyColumn + "," + valueColumn + ") SELECT NULL,NULL,NULL FROM DUAL WHERE FALSE",
		"SELECT " + mysql.Quote(c.Type.OwnerID) + " FROM " + owner + " WHERE FALSE LOCK IN SHARE MODE",
	}
	for _, column := range slices.Sorted(maps.Values(c.Posts)) {
		all = append(all, "UPDATE "+owner+" SET "+mysql.Quote(column)+"="+mysql.Quote(column)+" WHERE FALSE")
	}
	return all
}
