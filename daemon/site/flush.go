package site

import (
	"context"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// Flush implements [daemon.Site].
func (s *Site) Flush(
	ctx context.Context, p *protocol.FlushParams, progress func(done, total int64),
) (protocol.FlushResult, error) {
	var ids []ticket.ID // nil: all
	if !p.All {
		ids = idsOf(p.IDs)
	}
	moved, err := s.Flusher.Flush(ctx, ids, func(done, total int) { progress(int64(done), int64(total)) })
	if err == nil && s.Stuck != nil {
		err = s.Stuck(ids)
	}
	if err != nil {
		return protocol.FlushResult{}, answer(err)
	}
	return protocol.FlushResult{Flushed: int64(moved.Flushed), Dead: int64(moved.Dead)}, nil
}
