package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/policy"
	"github.com/ticketd/ticketd/sync/table"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is the table in memory: the sink of the flusher, and the database of the site. Every access takes delay.
type database struct {
	mu         sync.Mutex
	definition *table.Definition
	rows       map[ticket.ID]store.Record
	delay      time.Duration
	fail       error
	altered    *table.Definition // the definition that Reread finds
	refuse     map[ticket.ID]*flush.Refusal
	locked     map[ticket.ID]bool
	writes     int
	queries    int
	refreshes  int
	most       int    // rows asked for at once
	late       func() // is called once, when rows were read and are not returned yet
}

func newDatabase(t *testing.T) *database {
	t.Helper()
	d := &table.Definition{
		Table: "tickets", Key: "id", Revision: "rev", UpdatedAt: "updated_at",
		Columns: []table.Column{
			{
				Field: "status", Name: "status", Kind: table.Varchar, MaxChars: 32, Nullable: true,
				Default: table.Default{Source: table.NullValue},
			},
			{Field: "updated_at", Name: "updated_at", Kind: table.Datetime, Default: table.Default{Source: table.Now}},
		},
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return &database{definition: d, rows: map[ticket.ID]store.Record{}, refuse: map[ticket.ID]*flush.Refusal{}}
}

func (d *database) access(ctx context.Context, count *int) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", flush.ErrSinkDown, ctx.Err())
	case <-time.After(d.delay):
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	*count++
	return d.fail
}

func (d *database) set(fail error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fail
}

func (d *database) counts() (writes, queries int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.writes, d.queries
}

func (d *database) Write(ctx context.Context, changes []store.Claim) ([]flush.Result, error) {
	if err := d.access(ctx, &d.writes); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	results := make([]flush.Result, len(changes))
	for i, c := range changes {
		if d.locked[c.ID] {
			results[i].Later = errors.New("lock wait timeout")
			continue
		}
		results[i] = flush.Result{Revision: c.Revision, Refused: d.refuse[c.ID]}
		if d.refuse[c.ID] == nil {
			d.rows[c.ID] = store.Record{ID: c.ID, Revision: c.Revision, Deleted: c.Deleted, Fields: c.Fields}
		}
	}
	return results, nil
}

func (d *database) Definition() *table.Definition { return d.definition }

func (d *database) Remember(*table.Definition) {}

func (d *database) LoadDefinition(context.Context) (*table.Definition, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.refreshes++
	d.fail = nil
	return d.definition, nil
}

func (d *database) Reread(_ context.Context, judged *table.Definition) *table.Definition {
	d.mu.Lock()
	altered := d.altered
	d.mu.Unlock()
	if altered == nil || altered == judged {
		return nil
	}
	d.definition = altered
	return altered
}

func (d *database) Rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	if err := d.access(ctx, &d.queries); err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.most = max(d.most, len(ids))
	var rows []store.Record
	for _, id := range ids {
		if row, there := d.rows[id]; there {
			rows = append(rows, row)
		}
	}
	late := d.late
	d.late = nil
	d.mu.Unlock()
	if late != nil {
		late()
	}
	return rows, nil
}

func (d *database) Born(ctx context.Context, ids []ticket.ID) (map[ticket.ID]ticket.Revision, error) {
	rows, err := d.Rows(ctx, ids)
	born := map[ticket.ID]ticket.Revision{}
	for i := range rows {
		born[rows[i].ID] = rows[i].Revision
	}
	return born, err
}

func (d *database) List(ctx context.Context, _ *ticket.Selection, p *mysql.Page) ([]store.Record, *mysql.Mark, error) {
	if err := d.access(ctx, &d.queries); err != nil {
		return nil, nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	var rows []store.Record
	for _, row := range d.rows {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b store.Record) int { return cmp.Compare(a.ID, b.ID) })
	if p.After != nil {
		rows = slices.DeleteFunc(rows, func(r store.Record) bool { return r.ID <= p.After.ID })
	}
	for i := range rows {
		if i == p.Limit || p.Fits != nil && !p.Fits(&rows[i]) && i > 0 {
			return rows[:i], &mysql.Mark{ID: rows[i-1].ID}, nil
		}
	}
	return rows, nil, nil
}

func (d *database) CountBy(
	ctx context.Context, _ *ticket.Selection, field string, limit int,
) (groups []ticket.Group, more bool, err error) {
	rows, _, err := d.List(ctx, nil, &mysql.Page{Limit: 1 << 20})
	for i := range rows {
		value, _ := rows[i].Fields.Get(field)
		at := slices.IndexFunc(groups, func(g ticket.Group) bool { return g.Value == value })
		if at < 0 {
			at, groups = len(groups), append(groups, ticket.Group{Value: value})
		}
		groups[at].Count++
	}
	return groups[:min(limit, len(groups))], len(groups) > limit, err
}

func (d *database) Count(ctx context.Context, _ *ticket.Selection) (int64, error) {
	rows, _, err := d.List(ctx, nil, &mysql.Page{Limit: 1 << 20})
	return int64(len(rows)), err
}

// away is a store that may stop answering.
type away struct {
	store.Store
	gone bool
}

func (a *away) Apply(ctx context.Context, mutations []store.Mutation) ([]store.Outcome, error) {
	if a.gone {
		return nil, fmt.Errorf("redis evalsha: %w", store.ErrUnavailable)
	}
	return a.Store.Apply(ctx, mutations)
}

func (a *away) DirtyIDs(ctx context.Context) ([]ticket.ID, error) {
	if a.gone {
		return nil, fmt.Errorf("redis scan: %w", store.ErrUnavailable)
	}
	return a.Store.DirtyIDs(ctx)
}

// desk is a site on a table in memory. Its strategy never flushes by itself.
type desk struct {
	*Site
	db    *database
	store *away
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{db: newDatabase(t), store: &away{Store: pending.New()}}
	flusher := flush.New(d.store, d.db, flush.Options{
		Batch: 100, Lease: time.Minute, Gap: time.Second, Poll: time.Hour, MaxPause: time.Second, Log: zerolog.Nop(),
	})
	d.Site = New(Parts{
		Name: "main", Store: d.store, Database: d.db, Flusher: flusher, Clock: ticket.NewClock(time.Now),
		Strategy: Strategy{Name: "interval", Due: policy.Event(24 * time.Hour)}, Log: zerolog.Nop(),
	})
	return d
}

func (d *desk) write(t *testing.T, id int64, status string) {
	t.Helper()
	_, err := d.Set(t.Context(), &protocol.SetParams{
		ID: id, Fields: []protocol.Field{{Name: "status", Value: protocol.Text(status)}},
	})
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode demands a protocol error.
func wantCode(t *testing.T, err error, code protocol.Code) {
	t.Helper()
	if !errors.Is(err, &protocol.Error{Code: code}) {
		t.Errorf("error %v, want %s", err, code)
	}
}
