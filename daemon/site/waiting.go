package site

import (
	"context"
	"slices"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

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

// Describe implements [daemon.Site].
func (s *Site) Describe(context.Context, *protocol.SiteParams) (protocol.DescribeResult, error) {
	result := s.Description
	if d := s.Database.Definition(); d != nil {
		result.Types = make(map[string]string, len(d.Columns))
		for i := range d.Columns {
			result.Types[d.Columns[i].Field] = string(d.Columns[i].Kind)
		}
	}
	return result, nil
}
