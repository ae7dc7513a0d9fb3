package site

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
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

// atOnce bounds the tickets fetched before the sizes are known: an agent's page. A thousand large tickets would be gigabytes.
const atOnce = 32

// GetMany implements [daemon.Site] with, for every [atOnce] tickets, a round trip to the store and a query for the tickets that
// the store does not hold whole.
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

// fitting is shown for tickets that must fit a reply.
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

// settled says that the store's record of a ticket needs no completion. A whole copy may be older than a column: where a field
// with another default than NULL was set to NULL, each read asks MySQL.
func settled(d *table.Definition, r *store.Record) bool {
	if !r.Held() || r.Deleted {
		return r.Held()
	}
	for i := range d.Columns {
		if c := &d.Columns[i]; r.Full && !c.AbsentIsNull() && !named(r.Fields, c.Field) {
			return false
		}
	}
	return r.Full
}

// lookUp returns a whole ticket, or errNoTicket, or errBehind if a place that may hold the ticket does not answer. A deleted
// ticket is returned as far as known.
func (s *Site) lookUp(ctx context.Context, id ticket.ID) (store.Record, error) {
	d, err := s.known()
	if err != nil {
		return store.Record{}, err
	}
	return sole(s.whole(ctx, d, []ticket.ID{id}))
}

// sole returns the ticket of a look-up for a single ticket.
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

// shown is whole for readers. While MySQL does not answer, a ticket whose create is not in MySQL yet is complete without MySQL,
// except for changes that other hosts may have flushed meanwhile: such a ticket is shown as behind.
func (s *Site) shown(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	records, err := s.whole(ctx, d, ids)
	if !errors.Is(err, flush.ErrSinkDown) && !errors.Is(err, flush.ErrSinkPaused) {
		return records, err
	}
	for i := range records {
		switch r := &records[i]; {
		case settled(d, r):
		case !r.Held() && s.missing.has(r.ID):
		case r.Held() && (r.Created != 0 || r.Full) && r.Stray == nil: // a whole copy may be older than a column
			r.Behind = true
		default:
			return nil, err
		}
	}
	complete(d, records, nil)
	return records, nil
}

// whole returns a record per ticket, in the order of the ids, with a round trip to the store and a query for the tickets that the
// store does not hold whole. If a record is not held, no place that answered has the ticket. With an error of MySQL, the records
// are the store's.
func (s *Site) whole(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	before := make([]uint64, len(ids))
	for i, id := range ids {
		before[i] = s.missing.before(id)
	}
	records, err := s.get(ctx, ids)
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

// flushed says that MySQL had all fields of a record when the record was read: a row read later has the same values, or values
// that replaced the fields. Without a row, a program has deleted the ticket. MySQL restored from an older copy has the values of
// the copy.
func flushed(r *store.Record) bool {
	return r.Held() && !r.Dirty && !r.Queued && !r.Behind && r.Created == 0 && r.Stray == nil
}

// complete merges the found rows into the records that are not whole, in place: the store's fields are newer than the row. A
// ticket without a row gets the table's defaults, as the insert will.
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
			row = nil // the row is a different ticket's: the create has not arrived, and never will
		}
		if record.Stray != nil {
			showStray(d, record, row)
		}
		switch {
		case row != nil:
			merge(record, row)
		case flushed(record) && !record.Full: // the store's fields alone are no ticket
			*record = store.Record{ID: record.ID}
		case vanished(record):
			*record = store.Record{ID: record.ID}
		case record.Held():
			_ = defaults(d, record) // a ticket that lacks a column without a default is shown unchanged
		}
	}
}

// vanished says that MySQL had the row of a record for which it has no row, so that the record's changes alone make none: the
// flush makes them a dead letter. A record may be behind where the store itself says that MySQL had the row: the store is then in
// doubt about the values alone.
func vanished(r *store.Record) bool {
	had := r.Had || r.Changed < len(r.Fields) && !r.Behind
	return r.Held() && had && !r.Full && r.Created == 0 && !r.Queued && r.Stray == nil
}

// unwritten is the revision of a row that ticketd has never written, or of a different program's hash.
const unwritten ticket.Revision = 1

// showStray adds the fields of a hash that a different program keeps under the ticket's key. The hash is newer than the row, and
// older than the changes that wait on this host. A value that the table refuses is shown unchanged, except in an integer column.
// A hash older than a row that ticketd has written is not shown, because the next change sets the hash aside.
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

// merge lays the store's fields over a row, unless the row is newer or no change waits: the row then has or replaces all fields
// of the store, except the changes that wait on this host alone.
func merge(record, row *store.Record) {
	if row.Revision > record.Revision && !record.Queued || flushed(record) {
		behind, err, revision := record.Behind || row.Behind, record.Err, max(record.Revision, row.Revision)
		*record = *row
		record.Behind, record.Err = behind, err // the row is then all that is known, which may be less than was acknowledged
		record.Revision = revision              // the store compares a condition with this revision
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
	if column, born := d.Born(given, record.Since); column >= 0 { // as the insert will
		given = slices.Clone(given).With(d.Columns[column].Field, born)
	}
	fields, _, err := d.Complete(given, time.Now())
	if err != nil {
		return err
	}
	record.Fields, record.Full = fields, true
	return nil
}

// lookUpInHalf is lookUp in half of the remaining time: a MySQL that hangs leaves time for the work that does not need MySQL.
func (s *Site) lookUpInHalf(ctx context.Context, id ticket.ID) (store.Record, error) {
	ctx, cancel := half(ctx)
	defer cancel()
	return s.lookUp(ctx, id)
}

// half is ctx with half of the remaining time.
func half(ctx context.Context) (context.Context, context.CancelFunc) {
	if deadline, bounded := ctx.Deadline(); bounded {
		return context.WithTimeout(ctx, time.Until(deadline)/2)
	}
	return context.WithCancel(ctx)
}

// rowTimeout bounds the look at the store and at MySQL for a single ticket.
const rowTimeout = 2 * time.Second

// fetchOne reads a ticket that the store does not hold whole. record is the reader's record from the store, and before is for
// [missing.add]. Concurrent readers share a single query. The query's goroutine first looks at the store again, so a reader who
// comes just after a fill needs no query. A reader who saw the ticket at a different revision, or comes after a further write,
// asks anew: the row under way may lack changes that the store has forgotten since.
func (s *Site) fetchOne(ctx context.Context, d *table.Definition, record *store.Record, before uint64) ([]store.Record, error) {
	id := record.ID
	result := s.reads.DoChan(fmt.Sprintf("%d at %d after %d", id, record.Revision, before), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowTimeout) // the first reader may go away
		defer cancel()
		before := s.missing.before(id)
		held, err := s.get(ctx, []ticket.ID{id})
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
	case <-ctx.Done(): // Redis has just answered the reader, so the reader waits for MySQL
		return nil, fmt.Errorf("%w: no answer in time: %w", flush.ErrSinkDown, ctx.Err())
	case r := <-result:
		found, _ := r.Val.([]store.Record)
		return found, r.Err
	}
}

// fetch reads the rows of tickets in a single query, fills the store with the rows, and remembers which tickets neither place
// has. The store's own fields win. before is from before the store was asked, see [missing].
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
		if flushed(record) { // a row of an older revision counts, too: the store's copy is of a different row, or of a later time
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

// toWire makes a whole ticket of a record: columns without a field are NULL, integer columns are integers. The fields have the
// order of [arrange], whichever place the record is from.
func toWire(d *table.Definition, r *store.Record) *protocol.Ticket {
	fields := make(ticket.Fields, len(d.Columns), max(len(d.Columns), len(r.Fields)))
	for i := range d.Columns {
		fields[i].Name = d.Columns[i].Field
	}
	for _, f := range r.Fields {
		if at, column := d.Position(f.Name); column {
			fields[at].Value = wireValue(d, f)
		} else if !f.Value.IsNull() { // set to nil, it is no field any more, wherever the ticket is
			fields = append(fields, f)
		}
	}
	arrange(d, fields[len(d.Columns):])
	return &protocol.Ticket{ID: int64(r.ID), Revision: int64(r.Revision), Fields: fields, Stale: r.Behind}
}

// arrange puts fields into the order of replies: those with a column in the table's order, then the others by name.
func arrange(d *table.Definition, fields ticket.Fields) {
	place := func(f ticket.Field) int {
		if at, column := d.Position(f.Name); column {
			return at
		}
		return len(d.Columns)
	}
	slices.SortFunc(fields, func(a, b ticket.Field) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.Name, b.Name))
	})
}

func named(fields ticket.Fields, name string) bool {
	_, there := fields.Get(name)
	return there
}

// wireValue is a field's value on the wire: an integer for an integer column.
func wireValue(d *table.Definition, f ticket.Field) ticket.Value {
	if d.IsInteger(f.Name) {
		return f.Value.AsInt()
	}
	return f.Value
}

// asHeld makes store records of rows: a row that ticketd has never written has the revision 0, which means "not held" in a store.
func asHeld(rows []store.Record) []store.Record {
	for i := range rows {
		rows[i].Revision = max(rows[i].Revision, unwritten)
	}
	return rows
}

// A site whose tickets are WordPress' posts shares the rows with WordPress and other plugins, which write them at any time. So
// the store's clean copies do not count: what is not pending is read from MySQL.

// isMeta says that the site's tickets are WordPress' posts or users.
func (s *Site) isMeta() bool {
	return s.Description.Kind == protocol.KindPostMeta || s.Description.Kind == protocol.KindUserMeta
}

// get reads tickets from the store, of a site with meta without clean copies.
func (s *Site) get(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	records, err := s.Store.Get(ctx, ids)
	if !s.isMeta() {
		return records, err
	}
	for i := range records {
		r := &records[i]
		r.Fields, r.Full = r.Fields[:r.Changed], false
	}
	return records, err
}

// Waiting implements [daemon.Site]. MySQL is not asked: a client lays the answer over the rows that the client reads after the
// answer. A change that is not in the answer was acknowledged after the call, or the sink confirmed the change before the store
// was asked, so that the rows have the change. Clean copies are left out, because other programs may have changed the rows since.
func (s *Site) Waiting(ctx context.Context, p *protocol.WaitingParams) (protocol.WaitingResult, error) {
	all := make([]store.Record, 0, len(p.IDs))
	bytes := 0
	for part := range slices.Chunk(idsOf(p.IDs), atOnce) {
		records, err := s.Store.Get(ctx, part)
		if err != nil {
			return protocol.WaitingResult{}, answer(err)
		}
		for i := range records {
			r := &records[i]
			r.Fields = slices.Clip(r.Fields[:r.Changed])
			for _, f := range r.Fields {
				bytes += len(f.Value.Text())
			}
		}
		if bytes > protocol.MaxPayload {
			return protocol.WaitingResult{}, answer(tooMuch())
		}
		all = append(all, records...)
	}
	return *s.waitingOf(all), nil
}

// waitingOf makes the reply of the store's records.
func (s *Site) waitingOf(records []store.Record) *protocol.WaitingResult {
	d := s.Database.Definition()
	result := &protocol.WaitingResult{Tickets: make([]*protocol.WaitingTicket, len(records))}
	for i := range records {
		r := &records[i]
		result.Stale = result.Stale || r.Behind || r.Err != nil
		deleted := r.Deleted && r.Dirty
		if r.Err != nil || r.Changed == 0 && !deleted {
			continue
		}
		fields := make(ticket.Fields, r.Changed)
		for n, f := range r.Fields[:r.Changed] {
			if fields[n] = f; d != nil {
				fields[n].Value = wireValue(d, f)
			}
		}
		result.Tickets[i] = &protocol.WaitingTicket{Revision: int64(r.Revision), Fields: fields, Deleted: deleted}
	}
	return result
}

// wholeInHalf is whole in half of the remaining time: a MySQL that hangs must not make the answer late.
func (s *Site) wholeInHalf(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	ctx, cancel := half(ctx)
	defer cancel()
	return s.whole(ctx, d, ids)
}
