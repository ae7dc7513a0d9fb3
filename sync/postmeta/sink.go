package postmeta

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Sink writes changes to the meta table; the package comment says how.
type Sink struct {
	*mysql.Sink // statements, conflicts and the memories of halving

	db      *mysql.DB
	config  Config
	dropped atomic.Int64
	// step is called before each step of an attempt, for tests.
	step func(name string)
}

var _ flush.Sink = (*Sink)(nil)

// NewSink makes the sink of a database that was opened with the config's layout.
func NewSink(db *mysql.DB, config Config) *Sink {
	return &Sink{Sink: mysql.NewSink(db), db: db, config: config, step: func(string) {}}
}

// Dropped counts the changes of posts that do not exist.
func (s *Sink) Dropped() int64 { return s.dropped.Load() }

// change is a claim as the tables see it.
type change struct {
	at       int // the place among the claims
	id       ticket.ID
	revision ticket.Revision // the guard compares this revision
	final    ticket.Revision // and this revision is written
	deleted  bool
	values   []value // by meta key, sorted
	shown    []value // by column, sorted
	bytes    int
	gone     bool // the post does not exist, as the last attempt found
}

// value is the value of a meta key or of a column.
type value struct {
	name  string
	value ticket.Value
}

// arg is the value for the driver.
func (v *value) arg() any {
	if v.value.IsNull() {
		return nil
	}
	return v.value.Text()
}

// The bounds of an attempt, besides MaxRows tickets and half a packet of bytes: larger transactions only hold locks for longer.
const maxValues = 5000

// Write implements [flush.Sink].
func (s *Sink) Write(ctx context.Context, claims []store.Claim) ([]flush.Result, error) {
	d, err := s.db.Known(ctx)
	if err != nil {
		return nil, err
	}
	batch, packet, err := s.Begin(ctx, d, len(claims))
	if err != nil {
		return nil, err
	}
	changes := make([]change, len(claims))
	places := make([]int, 0, len(claims))
	for i := range claims {
		unknown := s.layOut(&changes[i], i, &claims[i])
		if unknown == "" {
			places = append(places, i)
			continue
		}
		batch.Refuse(i, mysql.ErrUnknownField, fmt.Sprintf("the configuration names no meta key for the field %q any more: add it to "+
			"the site's keys and retry the dead letter, or drop it", unknown))
	}
	w := &write{sink: s, changes: changes, room: packet / 2} //nolint:mnd // escaping at most doubles a value
	slices.SortFunc(places, func(a, b int) int { return cmp.Compare(changes[a].id, changes[b].id) })
	for _, part := range w.cut(places) {
		if err := batch.Bring(ctx, claims, part, s.config.rowless(), w.attempt, w.held); err != nil {
			return nil, err
		}
	}
	results, err := batch.Results()
	for i := range results {
		if err == nil && results[i].Revision != 0 && changes[i].gone {
			s.dropped.Add(1)
		}
	}
	return results, err
}

// layOut fills a change from a claim, and returns the name of a field that the configuration does not have.
func (s *Sink) layOut(c *change, at int, claim *store.Claim) (unknown string) {
	*c = change{at: at, id: claim.ID, revision: claim.Revision, final: claim.Revision, deleted: claim.Deleted}
	if claim.Last || claim.RevisionOnly() { // readers may have met this revision in the store
		c.final = max(c.final, claim.Newest)
	}
	if c.deleted {
		return "" // earlier changes do not matter
	}
	for _, f := range claim.Fields {
		key, inMeta := s.config.Keys[f.Name]
		column, inPosts := s.config.Posts[f.Name]
		switch {
		case inMeta && inPosts:
			c.shown = append(c.shown, value{column, f.Value})
			fallthrough
		case inMeta:
			c.values = append(c.values, value{key, f.Value})
		case inPosts:
			c.shown = append(c.shown, value{column, f.Value})
		default:
			return f.Name
		}
		c.bytes += len(f.Value.Text())
	}
	byName := func(a, b value) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(c.values, byName)
	slices.SortFunc(c.shown, byName)
	return ""
}

// write is a call of [Sink.Write] under way.
type write struct {
	sink    *Sink
	changes []change
	room    int // bytes of values in a statement
}

// cut divides the changes into attempts.
func (w *write) cut(places []int) [][]int {
	var parts [][]int
	start, bytes, values := 0, 0, 0
	for i, at := range places {
		c := &w.changes[at]
		n := len(c.values) + len(c.shown)
		if i > start && (i-start >= mysql.DefaultMaxRows || bytes+c.bytes > w.room || values+n > maxValues) {
			parts = append(parts, places[start:i])
			start, bytes, values = i, 0, 0
		}
		bytes, values = bytes+c.bytes, values+n
	}
	if start < len(places) {
		parts = append(parts, places[start:])
	}
	return parts
}
