package postmeta

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Tables reads the values of a site.
type Tables struct {
	*mysql.DB

	config Config
}

// New returns the tables of a database that was opened with the config's layout.
func New(db *mysql.DB, config Config) *Tables { return &Tables{DB: db, config: config} }

// ErrNoLists says why the tables cannot be searched.
var ErrNoLists = errors.New("the tickets of this site are WordPress' posts, which WordPress' queries find")

// List is not supported.
func (*Tables) List(context.Context, *ticket.Selection, *mysql.Page) ([]store.Record, *mysql.Mark, error) {
	return nil, nil, ErrNoLists
}

// Count is not supported.
func (*Tables) Count(context.Context, *ticket.Selection) (int64, error) { return 0, ErrNoLists }

// CountBy is not supported.
func (*Tables) CountBy(context.Context, *ticket.Selection, string, int) ([]ticket.Group, bool, error) {
	return nil, false, ErrNoLists
}

func args(ids []ticket.ID) []any {
	all := make([]any, len(ids))
	for i, id := range ids {
		all[i] = int64(id)
	}
	return all
}

// Rows returns the values of the posts of the site's types that exist, and deleted records for posts with a tombstone that do not
// exist. A field without a row is NULL; of several rows of a key the first counts, as in get_post_meta.
func (t *Tables) Rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	const operation = "read posts"
	if len(ids) == 0 {
		return nil, nil
	}
	if _, err := t.Known(ctx); err != nil {
		return nil, err
	}
	found, err := t.owners(ctx, ids)
	if err != nil {
		return nil, t.Failure(operation, err)
	}
	if err := t.fill(ctx, found); err != nil {
		return nil, t.Failure(operation, err)
	}
	gone, err := t.tombstones(ctx, ids)
	if err != nil {
		return nil, t.Failure(operation, err)
	}
	all := make([]store.Record, 0, len(ids))
	for _, id := range ids {
		if r := found[id]; r != nil {
			all = append(all, *r)
			delete(found, id) // an id may come twice
		} else if revision, is := gone[id]; is {
			all = append(all, store.Record{ID: id, Revision: revision, Deleted: true, Full: true})
			delete(gone, id)
		}
	}
	return all, nil
}

// owners reads the posts with their revisions and the columns that show fields.
func (t *Tables) owners(ctx context.Context, ids []ticket.ID) (map[ticket.ID]*store.Record, error) {
	c := &t.config
	var shown []string // fields
	columns := []string{"p." + mysql.Quote(c.Type.OwnerID), "COALESCE(LEAST(r.revision," + ticket.Ceiling.String() + "),0)"}
	for _, field := range c.Fields() {
		column, is := c.Posts[field]
		if _, hasKey := c.Keys[field]; is && !hasKey {
			columns = append(columns, "p."+mysql.Quote(column))
			shown = append(shown, field)
		}
	}
	query := "SELECT " + strings.Join(columns, ",") + " FROM " + mysql.Quote(c.owner()) + " AS p LEFT JOIN " +
		mysql.Quote(c.side()) + " AS r ON r." +
		mysql.Quote(c.Type.Key) + "=p." + mysql.Quote(c.Type.OwnerID) + " WHERE p." +
		mysql.Quote(c.Type.OwnerID) + " IN " + in(len(ids))
	values := args(ids)
	if len(c.PostTypes) > 0 {
		query += " AND p." + typeColumn + " IN " + in(len(c.PostTypes))
		for _, name := range c.PostTypes {
			values = append(values, name)
		}
	}
	rows, err := t.Query(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := make(map[ticket.ID]*store.Record, len(ids))
	for rows.Next() {
		r := &store.Record{Full: true}
		texts := make([]sql.NullString, len(shown))
		into := []any{&r.ID, &r.Revision}
		for i := range texts {
			into = append(into, &texts[i])
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, field := range shown {
			r.Fields = append(r.Fields, ticket.Field{Name: field, Value: valueOf(texts[i])})
		}
		found[r.ID] = r
	}
	return found, rows.Err()
}

func valueOf(text sql.NullString) ticket.Value {
	if !text.Valid {
		return ticket.Null
	}
	return ticket.Text(text.String)
}

// fill reads the meta of posts.
func (t *Tables) fill(ctx context.Context, posts map[ticket.ID]*store.Record) error {
	c := &t.config
	if len(posts) == 0 || len(c.Keys) == 0 {
		return nil
	}
	fields := make(map[string][]string, len(c.Keys)) // by key
	var values, keys []any
	for id := range posts {
		values = append(values, int64(id))
	}
	for _, field := range c.Fields() {
		key, is := c.Keys[field]
		if !is {
			continue
		}
		if fields[key] == nil {
			keys = append(keys, key)
		}
		fields[key] = append(fields[key], field)
		for _, r := range posts {
			r.Fields = append(r.Fields, ticket.Field{Name: field})
		}
	}
	id, owner := mysql.Quote(c.Type.ID), mysql.Quote(c.Type.Key)
	rows, err := t.Query(ctx, "SELECT "+owner+","+keyColumn+","+valueColumn+" FROM "+mysql.Quote(c.meta())+" WHERE "+owner+" IN "+
		in(len(values))+" AND "+keyColumn+" IN "+in(len(keys))+" ORDER BY "+id+" DESC", append(values, keys...)...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var post ticket.ID
		var key string
		var text sql.NullString
		if err := rows.Scan(&post, &key, &text); err != nil {
			return err
		}
		for _, field := range fields[key] { // the first row comes last
			posts[post].Fields = posts[post].Fields.With(field, valueOf(text))
		}
	}
	return rows.Err()
}

// tombstones returns the revisions of the deletions of posts.
func (t *Tables) tombstones(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	rows, err := t.Query(ctx, "SELECT "+mysql.Quote(t.config.Type.Key)+",LEAST(revision,"+ticket.Ceiling.String()+") FROM "+
		mysql.Quote(t.config.side())+" WHERE "+mysql.Quote(t.config.Type.Key)+" IN "+in(len(ids))+" AND deleted=1", args(ids)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	found := map[ticket.ID]ticket.Revision{}
	for rows.Next() {
		var id ticket.ID
		var revision ticket.Revision
		if err := rows.Scan(&id, &revision); err != nil {
			return nil, err
		}
		found[id] = revision
	}
	return found, rows.Err()
}

// Born returns the revisions of the deletions of posts: no create asks for more, as WordPress makes the posts.
func (t *Tables) Born(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	if len(ids) == 0 {
		return map[ticket.ID]ticket.Revision{}, nil
	}
	gone, err := t.tombstones(ctx, ids)
	return gone, t.Failure("look up the age of posts", err)
}

// deletedPage is the number of tombstones of a reading.
const deletedPage = 10_000

// Deleted returns the deleted posts among the next tombstones above after, the last id read, and whether more tombstones follow.
// The tombstone of a post that exists again does not count.
func (t *Tables) Deleted(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error) {
	const operation = "read deleted posts"
	if _, err := t.Known(ctx); err != nil {
		return nil, 0, false, err
	}
	key := mysql.Quote(t.config.Type.Key)
	owner := mysql.Quote(t.config.Type.OwnerID)
	rows, err := t.Query(ctx, "SELECT r."+key+",p."+owner+" IS NOT NULL FROM (SELECT "+key+" FROM "+mysql.Quote(t.config.side())+
		" WHERE "+key+">? AND deleted=1 ORDER BY "+key+" LIMIT ?) AS r LEFT JOIN "+mysql.Quote(t.config.owner())+" AS p ON p."+owner+
		"=r."+key+" ORDER BY r."+key, int64(after), deletedPage)
	if err != nil {
		return nil, 0, false, t.Failure(operation, err)
	}
	defer rows.Close()
	n := 0
	for upTo = after; rows.Next(); n++ {
		var exists bool
		if err := rows.Scan(&upTo, &exists); err != nil {
			return nil, 0, false, t.Failure(operation, err)
		}
		if !exists {
			ids = append(ids, upTo)
		}
	}
	return ids, upTo, n == deletedPage, t.Failure(operation, rows.Err())
}

// Names are the names of the tables.
func (t *Tables) Names() []string { return t.config.Tables() }

// Try runs a flush's statements without a row, which need the same tables and rights.
func (t *Tables) Try(ctx context.Context) error {
	for _, statement := range t.config.rowless() {
		if err := t.try(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tables) try(ctx context.Context, statement string) error {
	rows, err := t.Query(ctx, statement)
	if err != nil {
		return err
	}
	defer rows.Close()
	return rows.Err()
}

// Orphan is a row of a managed key whose post ticketd has managed and WordPress has deleted.
type Orphan struct {
	Key   string
	Owner ticket.ID
}

func (o *Orphan) String() string {
	return fmt.Sprintf("post %d does not exist, and has a row of %s; delete the row", int64(o.Owner), o.Key)
}

// Orphans returns up to limit orphans: a flush leaves none, a restored table or another program may.
func (t *Tables) Orphans(ctx context.Context, limit int) ([]Orphan, error) {
	const operation = "look for orphans"
	c := &t.config
	if len(c.Keys) == 0 {
		return nil, nil
	}
	wanted := map[string]bool{}
	var values []any
	for _, key := range c.Keys {
		wanted[key], values = true, append(values, key)
	}
	owner, id := mysql.Quote(c.Type.Key), mysql.Quote(c.Type.OwnerID)
	rows, err := t.Query(ctx, "SELECT m."+owner+",m."+keyColumn+" FROM "+mysql.Quote(c.side())+" AS r JOIN "+mysql.Quote(c.meta())+
		" AS m ON m."+owner+"=r."+owner+" LEFT JOIN "+mysql.Quote(c.owner())+" AS p ON p."+id+"=r."+owner+" WHERE p."+id+
		" IS NULL AND m."+keyColumn+" IN "+in(len(values))+" ORDER BY m."+owner+" LIMIT ?", append(values, limit)...)
	if err != nil {
		return nil, t.Failure(operation, err)
	}
	defer rows.Close()
	var found []Orphan
	for rows.Next() {
		var o Orphan
		if err := rows.Scan(&o.Owner, &o.Key); err != nil {
			return nil, t.Failure(operation, err)
		}
		if wanted[o.Key] {
			found = append(found, o)
		}
	}
	return found, t.Failure(operation, rows.Err())
}

// Doubled is a meta key of which a post has several rows.
type Doubled struct {
	Key   string
	Owner ticket.ID
}

// Doubles returns up to limit managed keys of which a post has several rows: WordPress and ticketd write all of them.
func (t *Tables) Doubles(ctx context.Context, limit int) ([]Doubled, error) {
	c := &t.config
	if len(c.Keys) == 0 {
		return nil, nil
	}
	wanted := map[string]bool{}
	var values []any
	for _, key := range c.Keys {
		if !wanted[key] {
			wanted[key], values = true, append(values, key)
		}
	}
	owner := mysql.Quote(c.Type.Key)
	rows, err := t.Query(ctx, "SELECT MIN("+owner+"),BINARY "+keyColumn+" FROM "+mysql.Quote(c.meta())+" WHERE "+keyColumn+" IN "+
		in(len(values))+" GROUP BY BINARY "+keyColumn+","+owner+" HAVING COUNT(*)>1 LIMIT ?", append(values, limit)...)
	if err != nil {
		return nil, t.Failure("look for doubled keys", err)
	}
	defer rows.Close()
	var found []Doubled
	for rows.Next() {
		var d Doubled
		if err := rows.Scan(&d.Owner, &d.Key); err != nil {
			return nil, t.Failure("look for doubled keys", err)
		}
		if d.Key = strings.TrimRight(d.Key, "\x00"); wanted[d.Key] {
			found = append(found, d)
		}
	}
	return found, t.Failure("look for doubled keys", rows.Err())
}
