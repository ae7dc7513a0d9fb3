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
	if err := s.refuseLists(); err != nil {
		return protocol.ListResult{}, err
	}
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

// page reads as many tickets of a page as fit a reply. A single ticket that is too large is cut, so that every list can go on
// after the ticket.
func (s *Site) page(
	ctx context.Context, d *table.Definition, selection *ticket.Selection, page *mysql.Page,
) ([]*protocol.Ticket, *mysql.Mark, error) {
	tickets, left := []*protocol.Ticket{}, protocol.PageBytes
	page.Fits = func(row *store.Record) bool {
		t := toWire(d, &asHeld([]store.Record{*row})[0])
		*row = store.Record{ID: row.ID} // t has the fields now
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
	if err := s.refuseLists(); err != nil {
		return protocol.CountResult{}, err
	}
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

// countBy counts the tickets for each value of a field. More values than fit a reply are refused and not cut off: the numbers
// would not add up.
func (s *Site) countBy(ctx context.Context, p *protocol.CountParams) (result protocol.CountResult, err error) {
	result.Groups = []ticket.Group{}
	lacks, err := s.query(ctx, &p.Selection, func(d *table.Definition) error {
		groups, more, err := s.Database.CountBy(ctx, &p.Selection, p.By, protocol.MaxGroups)
		if err != nil {
			return err
		}
		if more {
			return protocol.Invalid("by", "the field has more than %d values among these tickets: count fewer tickets at once",
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

// lacking describes the changes that an answer of MySQL may lack.
type lacking struct {
	stale bool
	// locked are at most [protocol.MaxLocked] tickets whose changes could not be flushed because the rows are locked.
	locked []int64
}

// query asks MySQL, after a flush unless the selection says otherwise. If the table has changed, query reads the definition again
// and asks again. While Redis is unreachable and the journal accepts the writes, or rows are locked, the answer is the present
// content of MySQL, marked as stale.
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
			"select by fields that have an index, or ask for fewer tickets at once")
	}
	return lacks, answer(err)
}

// lacks describes the gaps in an answer of MySQL after a flush that failed with why; zero if the error allows no answer.
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

// freshen flushes all dirty tickets, regardless of due times. Concurrent lists share a flush.
func (s *Site) freshen(ctx context.Context) error { return s.fresh.await(ctx) }

// unfresh explains why the flush before a list failed.
func (s *Site) unfresh(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return protocol.Errorf(protocol.CodeUnavailable, "not all pending changes could be flushed to MySQL within "+
			"the time of a request: ask again to continue the flush, or ask with fresh false for the present content of MySQL")
	case errors.Is(err, store.ErrUnavailable):
		return protocol.Errorf(protocol.CodeUnavailable, "Redis does not answer, so pending changes in Redis cannot be listed: "+
			"try again later, or ask with fresh false for the present content of MySQL")
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

// cursor is the end of a page, with the page's sort. Clients hold a cursor as an opaque text.
type cursor struct {
	Sort      protocol.Sort `json:"s"`
	Ascending bool          `json:"a,omitempty"`
	Value     *string       `json:"v,omitempty"` // nil: NULL
	ID        ticket.ID     `json:"i"`
}

// encodeCursor writes the cursor of the next page; empty after the last page.
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

// decodeCursor reads the cursor of a request; nil for the first page. A cursor of a different sort is refused, because the page
// would begin anywhere.
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

// errNoLists refuses lists of a site with meta.
var errNoLists = protocol.Invalid("kind", "the tickets of this site are WordPress' posts, which WordPress' queries find and "+
	"count: read single tickets with get")

// refuseLists returns why the site's tickets cannot be listed; nil if they can.
func (s *Site) refuseLists() error {
	if s.isMeta() {
		return errNoLists
	}
	return nil
}
