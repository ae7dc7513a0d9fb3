package site

import (
	"context"

	"github.com/ticketd/ticketd/protocol"
)

// History implements [daemon.Site].
func (g Gate) History(ctx context.Context, p *protocol.HistoryParams) (protocol.HistoryResult, error) {
	return through(ctx, g, p, g.Site.History)
}

// EraseHistory implements [daemon.Site].
func (g Gate) EraseHistory(ctx context.Context, p *protocol.EraseHistoryParams) (protocol.CountResult, error) {
	return through(ctx, g, p, g.Site.EraseHistory)
}

// FeedStatus implements [daemon.Site].
func (g Gate) FeedStatus(ctx context.Context, p *protocol.SiteParams) (protocol.FeedStatusResult, error) {
	return through(ctx, g, p, g.Site.FeedStatus)
}

// FeedControl implements [daemon.Site].
func (g Gate) FeedControl(ctx context.Context, p *protocol.FeedControlParams) (protocol.FeedControlResult, error) {
	return through(ctx, g, p, g.Site.FeedControl)
}

// FeedDeadList implements [daemon.Site].
func (g Gate) FeedDeadList(ctx context.Context, p *protocol.FeedDeadListParams) (protocol.FeedDeadListResult, error) {
	return through(ctx, g, p, g.Site.FeedDeadList)
}

// FeedDeadRetry implements [daemon.Site].
func (g Gate) FeedDeadRetry(ctx context.Context, p *protocol.FeedDeadParams) (protocol.CountResult, error) {
	return through(ctx, g, p, g.Site.FeedDeadRetry)
}

// FeedDeadDrop implements [daemon.Site].
func (g Gate) FeedDeadDrop(ctx context.Context, p *protocol.FeedDeadParams) (protocol.CountResult, error) {
	return through(ctx, g, p, g.Site.FeedDeadDrop)
}
