package site

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// Get implements [daemon.Site].
func (s *Site) Get(ctx context.Context, p *protocol.GetParams) (protocol.Ticket, error) {
	d, err := s.known()
	if err != nil {
		return protocol.Ticket{}, err
	}
	records, err := s.shown(ctx, d, []ticket.ID{ticket.ID(p.ID)})
	record, err := sole(records, err)
	if err == nil && record.Deleted {
		err = errNoTicket
	}
	if err != nil {
		return protocol.Ticket{}, answer(err)
	}
	return *toWire(d, &record), nil
}

// atOnce is how many tickets are fetched before it is known how large they are: a page of an agent's. A thousand large ones would
// be gigabytes.
const atOnce = 32

// GetMany implements [daemon.Site]: one round trip to the store, and one query for what it does not hold whole; more of both for
// more tickets than an agent's page has.
func (s *Site) GetMany(ctx context.Context, p *protocol.GetManyParams) (protocol.GetManyResult, error) {
	d, err := s.known()
	if err != nil {
		return protocol.GetManyResult{}, err
	}
	records, err := s.fitting(ctx, d, idsOf(p.IDs))
	if err != nil {
		return protocol.GetManyResult{}, answer(err)
	}
	return *manyOf(d, records), nil
}

// manyOf makes a reply of records: nil stands for a ticket that does not exist.
func manyOf(d *table.Definition, records []store.Record) *protocol.GetManyResult {
	result := &protocol.GetManyResult{Tickets: make([]*protocol.Ticket, len(records))}
	for i := range records {
		r := &records[i]
		result.Stale = result.Stale || r.Behind
		if r.Held() && !r.Deleted {
			result.Tickets[i] = toWire(d, r)
		}
	}
	return result
}

// fitting is shown for tickets that must fit one reply.
func (s *Site) fitting(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	all := make([]store.Record, 0, len(ids))
	bytes := 0
	for part := range slices.Chunk(ids, atOnce) {
		records, err := s.shown(ctx, d, part)
		if err != nil {
			return nil, err
		}
		for i := range records {
			for _, f := range records[i].Fields {
				bytes += len(f.Value.Text())
			}
		}
		if bytes > protocol.MaxPayload {
			return nil, tooMuch()
		}
		all = append(all, records...)
	}
	return all, nil
}

// settled says that the store knows all there is to know of a ticket. A whole copy that lacks a column which cannot be NULL is
// from before the table had that column.
func settled(d *table.Definition, r *store.Record) bool {
	if !r.Held() || r.Deleted {
		return r.Held()
	}
	for i := range d.Columns {
		if c := &d.Columns[i]; r.Full && !c.Nullable && !named(r.Fields, c.Field) {
			return false
		}
	}
	return r.Full
}

// lookUp returns a ticket whole, or errNoTicket, or errBehind where a place that may hold it does not answer. A deleted one is
// returned as far as it is known.
func (s *Site) lookUp(ctx context.Context, id ticket.ID) (store.Record, error) {
	d, err := s.known()
	if err != nil {
		return store.Record{}, err
	}
	return sole(s.whole(ctx, d, []ticket.ID{id}))
}

// sole returns the one ticket that was looked for.
func sole(records []store.Record, err error) (store.Record, error) {
	if err != nil {
		return store.Record{}, err
	}
	switch r := &records[0]; {
	case r.Err != nil:
		return store.Record{}, r.Err
	case r.Held():
		return *r, nil
	case r.Behind:
		return store.Record{}, errBehind
	default:
		return store.Record{}, errNoTicket
	}
}

// shown is whole for readers. While MySQL does not answer, a ticket whose create has not arrived there is complete without it,
// but for what another host may have brought there meanwhile: such a ticket is shown as behind.
func (s *Site) shown(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	records, err := s.whole(ctx, d, ids)
	if !errors.Is(err, flush.ErrSinkDown) && !errors.Is(err, flush.ErrSinkPaused) {
		return records, err
	}
	for i := range records {
		switch r := &records[i]; {
		case settled(d, r):
		case !r.Held() && s.missing.has(r.ID):
		case r.Held() && r.Created != 0 && r.Stray == nil:
			r.Behind = true
		default:
			return nil, err
		}
	}
	complete(d, records, nil)
	return records, nil
}

// whole returns one record per ticket, in their order: one round trip to the store, and one query for what it does not
// hold whole. One that is not held is in no place that answered. Beside an error of MySQL's the records are as the store holds
// them.
func (s *Site) whole(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	before := make([]uint64, len(ids))
	for i, id := range ids {
		before[i] = s.missing.before(id)
	}
	records, err := s.Store.Get(ctx, ids)
	if err != nil {
		return nil, err
	}
	var lacking []store.Record
	var lackingBefore []uint64
	for i := range records {
		if r := &records[i]; !settled(d, r) && (r.Held() || !s.missing.has(r.ID)) {
			lacking = append(lacking, *r)
			lackingBefore = append(lackingBefore, before[i])
		}
	}
	var found []store.Record
	switch {
	case len(lacking) == 0:
		if !slices.ContainsFunc(records, func(r store.Record) bool { return r.Stray != nil }) {
			return records, nil
		}
	default:
		err = s.doubt.ask(ctx, func() (err error) {
			if len(lacking) == 1 {
				found, err = s.fetchOne(ctx, d, &lacking[0], lackingBefore[0])
			} else {
				found, err = s.fetch(ctx, lacking, lackingBefore)
			}
			return err
		})
	}
	if err != nil {
		return records, err
	}
	complete(d, records, found)
	return records, nil
}

// flushed says that MySQL had all that is held of a ticket when the record was read: a row that is read afterwards has it, or
// something else in its place. Without a row, another program has deleted the ticket, and MySQL that is a copy of an earlier
// time has what it had then.
func flushed(r *store.Record) bool {
	return r.Held() && !r.Dirty && !r.Queued && !r.Behind && r.Created == 0 && r.Stray == nil
}

// complete merges what was found into those records that are not whole, in place: what the store holds is newer than
// the row. A ticket without a row is made whole with the table's defaults, as its insert will.
func complete(d *table.Definition, records, found []store.Record) {
	byID := make(map[ticket.ID]*store.Record, len(found))
	for i := range found {
		byID[found[i].ID] = &found[i]
	}
	for i := range records {
		record := &records[i]
		if settled(d, record) {
			continue
		}
		row := byID[record.ID]
		if row != nil && row.Revision < record.Created {
			row = nil // it is another ticket's: the create has not arrived, and never will
		}
		if record.Stray != nil {
			showStray(d, record, row)
		}
		switch {
		case row != nil:
			merge(record, row)
		case flushed(record) && !record.Full: // what the store holds of it is no ticket
			*record = store.Record{ID: record.ID}
		case record.Held():
			_ = defaults(d, record) // what lacks a column that the table has no default for is shown as it is
		}
	}
}

// unwritten is the revision that stands for none: of a row that ticketd has never written, or of another program's hash.
const unwritten ticket.Revision = 1

// showStray makes a record of what another program keeps under the ticket's name: it is newer than the row, and older than what
// waits on this host. A value that the table refuses is shown as it is, but for what must be an integer. What is older than a row
// that ticketd has written is not shown, as the next change sets it aside.
func showStray(d *table.Definition, record, row *store.Record) {
	if row != nil && row.Revision > unwritten {
		return
	}
	fields, refused := d.Adopt(record.ID, record.Stray)
	for _, r := range refused {
		if _, column := d.Position(r.Field); !d.IsInteger(r.Field) && (column || d.Extra != "") && r.Field != d.DeletedAt {
			value, _ := record.Stray.Get(r.Field)
			fields = fields.With(r.Field, value)
		}
	}
	for _, f := range record.Fields {
		fields = fields.With(f.Name, f.Value)
	}
	record.Fields = fields
	record.Revision = max(record.Revision, unwritten)
}

// merge puts what the store holds over a row, unless the row is newer, or nothing waits: everything that the store holds is then
// in it or was replaced, but for what waits on this host alone.
func merge(record, row *store.Record) {
	if row.Revision > record.Revision && !record.Queued || flushed(record) {
		behind, err, revision := record.Behind || row.Behind, record.Err, max(record.Revision, row.Revision)
		*record = *row
		record.Behind, record.Err = behind, err // the row is then all that is known, which may be less than was acknowledged
		record.Revision = revision              // what the store compares a condition with
		return
	}
	fields := make(ticket.Fields, len(row.Fields), len(row.Fields)+len(record.Fields)) // a copy: the row is shared
	copy(fields, row.Fields)
	for _, f := range record.Fields {
		fields = fields.With(f.Name, f.Value)
	}
	record.Fields = fields
	record.Revision = max(record.Revision, row.Revision)
	record.Deleted = record.Deleted || row.Deleted
	record.Full = true
}

// defaults completes a ticket that has no row yet.
func defaults(d *table.Definition, record *store.Record) error {
	given := record.Fields
	if column, born := d.Born(given, record.Since); column >= 0 { // as its insert will
		given = slices.Clone(given).With(d.Columns[column].Field, born)
	}
	fields, _, err := d.Complete(given, time.Now())
	if err != nil {
		return err
	}
	record.Fields, record.Full = fields, true
	return nil
}

// lookUpInHalf is lookUp in half of the time that is left, so that a MySQL that hangs leaves some for what can be done
// without it.
func (s *Site) lookUpInHalf(ctx context.Context, id ticket.ID) (store.Record, error) {
	ctx, cancel := half(ctx)
	defer cancel()
	return s.lookUp(ctx, id)
}

// wholeInHalf is whole in half of the time that is left: a MySQL that hangs must not make an answer that comes too late.
func (s *Site) wholeInHalf(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	ctx, cancel := half(ctx)
	defer cancel()
	return s.whole(ctx, d, ids)
}

// half is ctx with half of the time that is left.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, bounded := ctx.Deadline(); bounded {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// rowTimeout bounds the look at both places for one ticket.
const rowTimeout = 2 * time.Second

// fetchOne reads a ticket that the store does not hold whole, of which record is what the reader saw there, and before is as for
// [missing.add]. However many readers ask for it at once, MySQL is asked once: the store is looked at again first, so that a
// reader who comes when the row has just been put there does not ask for another. A reader who saw the ticket at another
// revision, or comes after another write, asks anew: the row that is on its way may lack what the store has forgotten since.
func (s *Site) fetchOne(ctx context.Context, d *table.Definition, record *store.Record, before uint64) ([]store.Record, error) {
	id := record.ID
	result := s.reads.DoChan(fmt.Sprintf("%d at %d after %d", id, record.Revision, before), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowTimeout) // the first reader may go away
		defer cancel()
		before := s.missing.before(id)
		held, err := s.Store.Get(ctx, []ticket.ID{id})
		switch {
		case err != nil:
			return nil, err
		case settled(d, &held[0]):
			return held, nil
		case !held[0].Held() && !held[0].Behind && s.missing.has(id):
			return []store.Record{}, nil
		default:
			return s.fetch(ctx, held, []uint64{before})
		}
	})
	select {
	case <-ctx.Done(): // the reader has just had Redis' answer, so it is MySQL's that he waits for
		return nil, fmt.Errorf("%w: no answer in time: %w", flush.ErrSinkDown, ctx.Err())
	case r := <-result:
		found, _ := r.Val.([]store.Record)
		return found, r.Err
	}
}

// fetch reads the rows of tickets in one query, puts them into the store under what it holds of them, and remembers
// which of them are in neither place. before is of when the store was asked, see [missing].
func (s *Site) fetch(ctx context.Context, held []store.Record, before []uint64) ([]store.Record, error) {
	ids := make([]ticket.ID, len(held))
	at := make(map[ticket.ID]int, len(held))
	for i := range held {
		ids[i] = held[i].ID
		at[held[i].ID] = i
	}
	rows, err := s.Database.Rows(ctx, ids)
	if err == nil || ctx.Err() == nil {
		s.doubt.end()
	}
	if err != nil {
		return nil, err
	}
	found := asHeld(rows)
	bases := make([]ticket.Revision, len(found))
	for i := range found {
		record := &held[at[found[i].ID]]
		bases[i] = record.Revision
		if flushed(record) { // a row of an older revision is MySQL's too: the copy is of another row, or of a later time
			found[i].Revision = max(found[i].Revision, record.Revision)
		}
		delete(at, found[i].ID)
	}
	for id, i := range at {
		if !held[i].Held() && !held[i].Behind {
			s.missing.add(id, before[i])
		}
	}
	if err := s.Store.Fill(ctx, found, bases); err != nil {
		s.Log.Debug().Err(err).Msg("completed tickets could not be kept in the store")
	}
	return found, nil
}

func idsOf(wire []int64) []ticket.ID {
	ids := make([]ticket.ID, len(wire))
	for i, id := range wire {
		ids[i] = ticket.ID(id)
	}
	return ids
}

// toWire makes a whole ticket of a record: columns that it does not name are NULL, integer columns are integers.
func toWire(d *table.Definition, r *store.Record) *protocol.Ticket {
	t := &protocol.Ticket{
		ID: int64(r.ID), Revision: int64(r.Revision), Fields: make([]protocol.Field, 0, len(d.Columns)), Stale: r.Behind,
	}
	for _, f := range r.Fields {
		if _, column := d.Position(f.Name); !column && f.Value.IsNull() {
			continue // a field without a column that was set to nil is no field any more, wherever the ticket is
		}
		t.Fields = append(t.Fields, protocol.Field{Name: f.Name, Value: wireValue(d, f)})
	}
	for i := range d.Columns {
		if name := d.Columns[i].Field; !named(r.Fields, name) {
			t.Fields = append(t.Fields, protocol.Field{Name: name})
		}
	}
	return t
}

func named(fields ticket.Fields, name string) bool {
	_, there := fields.Get(name)
	return there
}

// wireValue is a field's value as it travels: an integer column's as an integer.
func wireValue(d *table.Definition, f ticket.Field) ticket.Value {
	if d.IsInteger(f.Name) {
		return f.Value.AsInt()
	}
	return f.Value
}

// asHeld makes records of a store of rows: one that ticketd has never written has the revision 0, which there means "not held".
func asHeld(rows []store.Record) []store.Record {
	for i := range rows {
		rows[i].Revision = max(rows[i].Revision, unwritten)
	}
	return rows
}
