package postmeta

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/mysql"
)

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
