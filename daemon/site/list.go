package site

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
)

// List implements [daemon.Site].
func (s *Site) List(ctx context.Context, p *protocol.ListParams) (protocol.ListResult, error) {
	if _, err := s.known(); err != nil {
		return protocol.ListResult{}, err
	}
	if p.Sort == "" {
		p.Sort = protocol.SortID
	}
	page := mysql.Page{Descending: !p.Ascending, Limit: p.Limit}
	if page.Limit == 0 {
		page.Limit = protocol.DefaultLimit
	}
	var err error
	if page.After, err = decodeCursor(p); err != nil {
		return protocol.ListResult{}, err
	}
	var tickets []*protocol.Ticket
	var next *mysql.Mark
	lacks, err := s.query(ctx, &p.Selection, func(d *table.Definition) error {
		if page.Sort, err = sortField(d, p.Sort); err != nil {
			return err
		}
		tickets, next, err = s.page(ctx, d, &p.Selection, &page)
		return err
	})
	if err != nil {
		return protocol.ListResult{}, err
	}
	result := protocol.ListResult{Tickets: tickets, Stale: lacks.stale, Locked: lacks.locked}
	result.Next, err = encodeCursor(p, next)
	return result, err
}

// page reads as many tickets of a page as a reply has room for. One that is alone larger is cut, so that every list can go on
// behind it.
func (s *Site) page(
	ctx context.Context, d *table.Definition, selection *ticket.Selection, page *mysql.Page,
) ([]*protocol.Ticket, *mysql.Mark, error) {
	tickets, left := []*protocol.Ticket{}, protocol.PageBytes
	page.Fits = func(row *store.Record) bool {
		t := toWire(d, &asHeld([]store.Record{*row})[0])
		*row = store.Record{ID: row.ID} // the ticket has what it held
		if len(tickets) == 0 {
			t.CutTo(left)
		}
		if left -= t.Bytes(); left < 0 {
			return false
		}
		tickets = append(tickets, t)
		return true
	}
	_, next, err := s.Database.List(ctx, selection, page)
	return tickets, next, err
}

// Count implements [daemon.Site].
func (s *Site) Count(ctx context.Context, p *protocol.CountParams) (protocol.CountResult, error) {
	if p.By != "" {
		return s.countBy(ctx, p)
	}
	var n int64
	lacks, err := s.query(ctx, &p.Selection, func(*table.Definition) (err error) {
		n, err = s.Database.Count(ctx, &p.Selection)
		return err
	})
	return protocol.CountResult{Count: n, Stale: lacks.stale, Locked: lacks.locked}, err
}

// countBy counts for each value of a field. More values than a reply has room for are refused, not cut off: the numbers
// would not add up.
func (s *Site) countBy(ctx context.Context, p *protocol.CountParams) (result protocol.CountResult, err error) {
	result.Groups = []ticket.Group{}
	lacks, err := s.query(ctx, &p.Selection, func(d *table.Definition) error {
		groups, more, err := s.Database.CountBy(ctx, &p.Selection, p.By, protocol.MaxGroups)
		if err != nil {
			return err
		}
		if more {
			return protocol.Invalid("by", "the field has more than %d values among these tickets: count fewer at once",
				protocol.MaxGroups)
		}
		for _, g := range groups {
			value := wireValue(d, ticket.Field{Name: p.By, Value: g.Value})
			result.Groups = append(result.Groups, ticket.Group{Value: value, Count: g.Count})
			result.Count += g.Count
		}
		return nil
	})
	result.Stale, result.Locked = lacks.stale, lacks.locked
	return result, err
}

// lacking is what an answer of MySQL's may lack.
type lacking struct {
	stale bool
	// locked are tickets, [protocol.MaxLocked] of them at most, whose changes could not be brought because others hold their rows.
	locked []int64
}

// query asks MySQL, which is brought up to date first unless the selection says otherwise. Where the table has changed,
// its definition is read again and the question asked once more. Where Redis is away and the journal takes its place for
// writes, or others hold rows locked, the answer is what MySQL has, and says so.
func (s *Site) query(
	ctx context.Context, selection *ticket.Selection, ask func(*table.Definition) error,
) (lacks lacking, err error) {
	attempt := func() error {
		if !selection.Stale {
			err := s.freshen(ctx)
			lacks = s.lacks(err)
			if err != nil && !lacks.stale {
				return s.unfresh(ctx, err)
			}
		}
		return s.judged(ctx, ask)
	}
	err = attempt()
	if errors.Is(err, flush.ErrSinkPaused) && s.Refresh(ctx) == nil {
		err = attempt()
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return lacks, protocol.Errorf(protocol.CodeUnavailable, "MySQL did not answer the query within the time of a request: "+
			"select by fields that the table has an index for, or ask for fewer tickets at once")
	}
	return lacks, answer(err)
}

// lacks says what MySQL's answer lacks where it could not be brought up to date for that reason; nothing where the reason leaves
// no answer.
func (s *Site) lacks(why error) (lacks lacking) {
	if locked, is := errors.AsType[*flush.LockedError](why); is {
		lacks.stale = true
		for _, id := range locked.IDs[:min(len(locked.IDs), protocol.MaxLocked)] {
			lacks.locked = append(lacks.locked, int64(id))
		}
		return lacks
	}
	lacks.stale = s.Journal != nil && errors.Is(why, store.ErrUnavailable)
	return lacks
}

// freshen brings to MySQL what is dirty, whatever its due time. Lists that ask at once share a flush.
func (s *Site) freshen(ctx context.Context) error { return s.fresh.await(ctx) }

// unfresh says why a list cannot be brought up to date.
func (s *Site) unfresh(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return protocol.Errorf(protocol.CodeUnavailable, "not all pending changes could be flushed to MySQL within "+
			"the time of a request: ask again, which goes on from here, or with fresh false for what MySQL has by now")
	case errors.Is(err, store.ErrUnavailable):
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer, so that pending changes there cannot be listed: "+
			"try again later, or ask with fresh false for what MySQL has by now")
	default:
		return err
	}
}

// sortField returns the table's field for a sort; empty is the id.
func sortField(d *table.Definition, sort protocol.Sort) (string, error) {
	field := string(sort)
	switch sort {
	case protocol.SortID:
		return "", nil
	case protocol.SortCreated:
		field = d.CreatedAt
	case protocol.SortUpdated:
		field = d.UpdatedAt
	default:
	}
	if field == "" {
		return "", protocol.Invalid("sort", "the table has no column %s", sort)
	}
	return field, nil
}

// cursor is where a page ended, and of which sort. Clients hold it as an opaque text.
type cursor struct {
	Sort      protocol.Sort `json:"s"`
	Ascending bool          `json:"a,omitempty"`
	Value     *string       `json:"v,omitempty"` // nil: NULL
	ID        ticket.ID     `json:"i"`
}

// encodeCursor writes the next page's cursor; empty where there is none.
func encodeCursor(p *protocol.ListParams, next *mysql.Mark) (string, error) {
	if next == nil {
		return "", nil
	}
	c := cursor{Sort: p.Sort, Ascending: p.Ascending, ID: next.ID}
	if !next.Value.IsNull() {
		text := next.Value.Text()
		c.Value = &text
	}
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// decodeCursor reads the cursor of a request; nil where it has none. One of another sort would begin the page anywhere.
func decodeCursor(p *protocol.ListParams) (*mysql.Mark, error) {
	if p.After == "" {
		return nil, nil //nolint:nilnil // the first page comes after no mark, which is no error
	}
	text, err := base64.RawURLEncoding.DecodeString(p.After)
	var c cursor
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	switch {
	case err != nil || !c.ID.Valid():
		return nil, protocol.Invalid("after", "it is no cursor: give the next of the page before, unchanged")
	case c.Sort != p.Sort || c.Ascending != p.Ascending:
		return nil, protocol.Invalid("after", "it belongs to another sort or order: begin again at the first page")
	}
	mark := &mysql.Mark{ID: c.ID}
	if c.Value != nil {
		mark.Value = ticket.Text(*c.Value)
	}
	return mark, nil
}
