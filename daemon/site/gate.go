package site

import (
	"context"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// Gate is the site that requests reach. A Gate answers only while all places of the site belong to the site's table, see
// [Parts.Served]; only Status is always answered.
type Gate struct{ *Site }

var _ daemon.Site = Gate{}

// Label returns the site's name.
func (g Gate) Label() string { return g.Name }

// Owns says whether changes with this identity of a table are for the site's table.
func (g Gate) Owns(identity string) bool { return g.Site.Owns == nil || g.Site.Owns(identity) }

func through[P, R any](ctx context.Context, g Gate, p P, call func(context.Context, P) (R, error)) (R, error) {
	err := g.closed()
	// The table's identity may have been unknown when the change came and went to the spool, so the change is checked here.
	if change, may := any(p).(protocol.Params); err == nil && may && !daemon.Meant(change, g) {
		err = daemon.ErrNotMeant
	}
	if err != nil {
		var none R
		return none, err
	}
	return call(ctx, p)
}

// closed returns why the site is not served.
func (g Gate) closed() error {
	if g.Served == nil {
		return nil
	}
	if err := g.Served(); err != nil {
		return protocol.Errorf(protocol.CodeUnavailable, "this site is not served: %s", err)
	}
	return nil
}

// Create implements [daemon.Site].
func (g Gate) Create(ctx context.Context, p *protocol.CreateParams) (protocol.CreateResult, error) {
	return through(ctx, g, p, g.Site.Create)
}

// Set implements [daemon.Site].
func (g Gate) Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error) {
	return through(ctx, g, p, g.Site.Set)
}

// SetMany implements [daemon.Site].
func (g Gate) SetMany(ctx context.Context, p *protocol.SetManyParams) (protocol.SetManyResult, error) {
	return through(ctx, g, p, g.Site.SetMany)
}

// Check implements [daemon.Site].
func (g Gate) Check(ctx context.Context, p *protocol.CheckParams) (protocol.CheckResult, error) {
	return through(ctx, g, p, g.Site.Check)
}

// Get implements [daemon.Site].
func (g Gate) Get(ctx context.Context, p *protocol.GetParams) (protocol.Ticket, error) {
	return through(ctx, g, p, g.Site.Get)
}

// GetMany implements [daemon.Site].
func (g Gate) GetMany(ctx context.Context, p *protocol.GetManyParams) (protocol.GetManyResult, error) {
	return through(ctx, g, p, g.Site.GetMany)
}

// Waiting implements [daemon.Site].
func (g Gate) Waiting(ctx context.Context, p *protocol.WaitingParams) (protocol.WaitingResult, error) {
	return through(ctx, g, p, g.Site.Waiting)
}

// Describe implements [daemon.Site].
func (g Gate) Describe(ctx context.Context, p *protocol.SiteParams) (protocol.DescribeResult, error) {
	return through(ctx, g, p, g.Site.Describe)
}

// FeedRead implements [daemon.Site].
func (g Gate) FeedRead(ctx context.Context, p *protocol.FeedReadParams) (protocol.FeedReadResult, error) {
	return through(ctx, g, p, g.Site.FeedRead)
}

// FeedAck implements [daemon.Site].
func (g Gate) FeedAck(ctx context.Context, p *protocol.FeedAckParams) (protocol.FeedAckResult, error) {
	return through(ctx, g, p, g.Site.FeedAck)
}

// Delete implements [daemon.Site].
func (g Gate) Delete(ctx context.Context, p *protocol.DeleteParams) (protocol.RevisionResult, error) {
	return through(ctx, g, p, g.Site.Delete)
}

// List implements [daemon.Site].
func (g Gate) List(ctx context.Context, p *protocol.ListParams) (protocol.ListResult, error) {
	return through(ctx, g, p, g.Site.List)
}

// Count implements [daemon.Site].
func (g Gate) Count(ctx context.Context, p *protocol.CountParams) (protocol.CountResult, error) {
	return through(ctx, g, p, g.Site.Count)
}

// DeadList implements [daemon.Site].
func (g Gate) DeadList(ctx context.Context, p *protocol.DeadListParams) (protocol.DeadListResult, error) {
	return through(ctx, g, p, g.Site.DeadList)
}

// DeadRetry implements [daemon.Site].
func (g Gate) DeadRetry(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error) {
	return through(ctx, g, p, g.Site.DeadRetry)
}

// DeadDrop implements [daemon.Site].
func (g Gate) DeadDrop(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error) {
	return through(ctx, g, p, g.Site.DeadDrop)
}

// Flush implements [daemon.Site].
func (g Gate) Flush(
	ctx context.Context, p *protocol.FlushParams, progress func(done, total int64),
) (protocol.FlushResult, error) {
	if err := g.closed(); err != nil {
		return protocol.FlushResult{}, err
	}
	return g.Site.Flush(ctx, p, progress)
}
