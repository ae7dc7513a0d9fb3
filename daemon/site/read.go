package site

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
)

// rowTimeout bounds the query for one ticket.
const rowTimeout = 2 * time.Second

// Get implements [daemon.Site].
func (s *Site) Get(ctx context.Context, p *protocol.GetParams) (protocol.Ticket, error) {
	d, err := s.known()
	if err != nil {
		return protocol.Ticket{}, err
	}
	record, err := s.lookUp(ctx, ticket.ID(p.ID))
	if err == nil && record.Deleted {
		err = errNoTicket
	}
	if err != nil {
		return protocol.Ticket{}, answer(err)
	}
	return *toWire(d, &record), nil
}

// GetMany implements [daemon.Site]: one round trip to the store, and one query for what it does not hold whole.
func (s *Site) GetMany(ctx context.Context, p *protocol.GetManyParams) (protocol.GetManyResult, error) {
	d, err := s.known()
	if err != nil {
		return protocol.GetManyResult{}, err
	}
	records, err := s.whole(ctx, d, idsOf(p.IDs))
	if err != nil {
		return protocol.GetManyResult{}, answer(err)
	}
	tickets := make([]*protocol.Ticket, len(records))
	for i := range records {
		if records[i].Held() && !records[i].Deleted {
			tickets[i] = toWire(d, &records[i])
		}
	}
	return protocol.GetManyResult{Tickets: tickets}, nil
}

// settled says that the store knows all there is to know of a ticket.
func settled(r *store.Record) bool { return r.Held() && (r.Full || r.Deleted) }

// lookUp returns a ticket whole, or errNoTicket. A deleted one is returned as far as it is known.
func (s *Site) lookUp(ctx context.Context, id ticket.ID) (store.Record, error) {
	d, err := s.known()
	if err != nil {
		return store.Record{}, err
	}
	records, err := s.whole(ctx, d, []ticket.ID{id})
	if err != nil {
		return store.Record{}, err
	}
	if !records[0].Held() {
		return store.Record{}, errNoTicket
	}
	return records[0], nil
}

// whole returns one record per ticket, in their order. One that is not held is in no place.
func (s *Site) whole(ctx context.Context, d *table.Definition, ids []ticket.ID) ([]store.Record, error) {
	before := make([]uint64, len(ids))
	for i, id := range ids {
		before[i] = s.missing.before(id)
	}
	records, err := s.Store.Get(ctx, ids)
	if err != nil {
		return nil, err
	}
	var lacking []int
	for i := range records {
		r := &records[i]
		if !settled(r) && (r.Held() || !s.missing.has(r.ID)) {
			lacking = append(lacking, i)
		}
	}
	if err := s.complete(ctx, d, records, lacking); err != nil {
		return nil, err
	}
	for _, i := range lacking {
		if !records[i].Held() {
			s.missing.add(records[i].ID, before[i])
		}
	}
	return records, nil
}

// complete reads the rows of those records that the store does not hold whole and merges them in place: what the store holds is
// newer than the row. A ticket without a row is made whole with the table's defaults, as its insert will.
func (s *Site) complete(ctx context.Context, d *table.Definition, records []store.Record, at []int) error {
	if len(at) == 0 {
		return nil
	}
	wanted := make([]ticket.ID, len(at))
	for i, n := range at {
		wanted[i] = records[n].ID
	}
	found, err := s.rows(ctx, wanted)
	if err != nil {
		return err
	}
	byID := make(map[ticket.ID]int, len(found))
	for i := range found {
		byID[found[i].ID] = i
	}
	bases := make([]ticket.Revision, len(found))
	for _, n := range at {
		record := &records[n]
		if i, there := byID[record.ID]; there {
			bases[i] = record.Revision
			merge(record, &found[i])
		} else if record.Held() {
			if err := defaults(d, record); err != nil {
				return err
			}
		}
	}
	if err := s.Store.Fill(ctx, found, bases); err != nil {
		s.Log.Debug().Err(err).Msg("completed tickets could not be kept in the store")
	}
	return nil
}

// rows reads tickets from MySQL. However many readers ask for the same one at once, one query is made; each of them
// puts what it found in the store itself over the row, so that nobody is given a row older than his own write.
func (s *Site) rows(ctx context.Context, ids []ticket.ID) ([]store.Record, error) {
	if len(ids) > 1 {
		rows, err := s.Database.Rows(ctx, ids)
		return fromRows(rows), err
	}
	result := s.reads.DoChan(ids[0].String(), func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rowTimeout) // the first reader may go away
		defer cancel()
		return s.Database.Rows(ctx, ids)
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-result:
		rows, _ := r.Val.([]mysql.Row)
		return fromRows(rows), r.Err
	}
}

// merge puts what the store holds over a row, unless the row is newer: everything that the store holds is then in it or
// was replaced.
func merge(record, row *store.Record) {
	if row.Revision > record.Revision {
		*record = *row
		return
	}
	fields := make(ticket.Fields, len(row.Fields), len(row.Fields)+len(record.Fields)) // a copy: the row is shared
	copy(fields, row.Fields)
	for _, f := range record.Fields {
		fields = fields.With(f.Name, f.Value)
	}
	record.Fields = fields
	record.Deleted = record.Deleted || row.Deleted
	record.Full = true
}

// defaults completes a ticket that has no row yet.
func defaults(d *table.Definition, record *store.Record) error {
	fields, err := d.Complete(record.Fields, time.Now())
	if err != nil {
		return err
	}
	record.Fields, record.Full = fields, true
	return nil
}
