package daemon

import (
	"context"

	"github.com/ticketd/ticketd/protocol"
)

// Sites finds the site of a request. The daemon calls For for every request, on the connection's goroutine; For must not
// block.
type Sites interface {
	// For returns the site of a request, among the sites that the peer may use: by the name in the request, by the table in the
	// request, or the only site. For a change from the spool the identity of its table decides, too. The error is a
	// *[protocol.Error]:
	//
	//   - forbidden if the peer may use no such site (also for an unknown name, so that a peer cannot probe for names) or the site's
	//     table is another table;
	//   - invalid with the field "site" if several sites fit;
	//   - [ErrNotMeant] if several sites fit and no site has the identity;
	//   - unavailable if a site whose identity is still unknown may have the identity.
	For(peer Peer, of protocol.Params) (Site, error)
}

// Access is what a dispatcher knows of peers.
type Access interface {
	Sites
	// Operates returns whether the peer is an operator, who may learn of all sites.
	Operates(peer Peer) bool
}

// Site executes the methods of the protocol on the tickets of a site. All methods are safe for concurrent use.
//
// The parameters are valid by the protocol's rules (ids and names in range, at most [protocol.MaxTickets] of them, text is
// UTF-8, no field twice); the site checks them against the table. Parameters belong to the site after the call. Their strings
// keep the whole frame in memory: clone a string that outlives the request.
//
// A *[protocol.Error] anywhere in an error's chain is the reply, unchanged. A context that ran out is answered unavailable.
// The daemon logs every other error and answers internal, without the error's text. The site logs none of the errors that the
// site returns.
type Site interface {
	Tickets
	Lists
	DeadLetters
	Feeds
	// Flush has no deadline but the daemon's own stop. Flush may call progress as often as it likes, on the caller's goroutine
	// only: the connection drops calls above the protocol's rate. The context ends when the client has gone.
	Flush(ctx context.Context, p *protocol.FlushParams, progress func(done, total int64)) (protocol.FlushResult, error)
	// Status leaves warnings about other sites to operators.
	Status(ctx context.Context, operator bool) (protocol.SiteStatus, error)
	Describe(ctx context.Context, p *protocol.SiteParams) (protocol.DescribeResult, error)
	Feed
	// Features are the site's [protocol.PingResult].Features. Features does not wait.
	Features() []string
}

// Feed is the part of a site that consumers of its changes use.
type Feed interface {
	// FeedRead may wait for an event until the context ends, and then returns none.
	FeedRead(ctx context.Context, p *protocol.FeedReadParams) (protocol.FeedReadResult, error)
	FeedAck(ctx context.Context, p *protocol.FeedAckParams) (protocol.FeedAckResult, error)
}

// Spool holds changes that clients could not deliver.
type Spool interface {
	// Settle returns when the spool has ingested every change that was pending before the call. The error is a
	// *[protocol.Error]: ctx ended first, or the request needs older changes that the site cannot take. A create and a flush
	// need all older changes, any other request needs those of its tickets.
	Settle(ctx context.Context, site Site, p protocol.Params) error
	// Settled returns whether no change was pending before the call, so that Settle would return at once. Settled does not wait.
	Settled(site Site) bool
	// Behind returns whether the last Settle left changes that the site cannot take now: the site's answers may be older.
	Behind(site Site) bool
	// Status counts the pending changes in the folders that may hold changes of a site; nil stands for all sites.
	Status(site Site) protocol.SpoolStatus
	// Warnings returns the problems of the same folders that an operator must solve.
	Warnings(site Site) []string
}

// Tickets is the part of a site that pages use: tickets by id.
type Tickets interface {
	Create(ctx context.Context, p *protocol.CreateParams) (protocol.CreateResult, error)
	Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error)
	// SetMany returns an outcome per pair, in order. A pair with an Err was refused already; its outcome is this Err.
	SetMany(ctx context.Context, p *protocol.SetManyParams) (protocol.SetManyResult, error)
	// Check returns a judgement per entry, in order, and changes no ticket. An entry with an Err was refused already.
	Check(ctx context.Context, p *protocol.CheckParams) (protocol.CheckResult, error)
	Get(ctx context.Context, p *protocol.GetParams) (protocol.Ticket, error)
	// GetMany returns a ticket per id, in order, nil for an id without a ticket.
	GetMany(ctx context.Context, p *protocol.GetManyParams) (protocol.GetManyResult, error)
	// Waiting returns the pending changes per id, in order, nil for an id without any. MySQL has all other changes that were
	// acknowledged before the call.
	Waiting(ctx context.Context, p *protocol.WaitingParams) (protocol.WaitingResult, error)
	Delete(ctx context.Context, p *protocol.DeleteParams) (protocol.RevisionResult, error)
}

// Lists is the part of a site that finds tickets by their fields. Unless the selection is Stale, the result shows every
// change that was acknowledged before the call, on any host.
type Lists interface {
	List(ctx context.Context, p *protocol.ListParams) (protocol.ListResult, error)
	Count(ctx context.Context, p *protocol.CountParams) (protocol.CountResult, error)
}

// DeadLetters is the part of a site that lists, retries and drops dead letters, the tickets that MySQL rejects.
type DeadLetters interface {
	DeadList(ctx context.Context, p *protocol.DeadListParams) (protocol.DeadListResult, error)
	DeadRetry(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error)
	DeadDrop(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error)
}

// Feeds is the part of a site that shows the history of its tickets and operates the destinations of its feed.
type Feeds interface {
	// History returns changes of a ticket, newest first. The result shows every change that was acknowledged before the call, or is
	// marked stale.
	History(ctx context.Context, p *protocol.HistoryParams) (protocol.HistoryResult, error)
	// EraseHistory removes the values of tickets from the history and from the feed.
	EraseHistory(ctx context.Context, p *protocol.EraseHistoryParams) (protocol.CountResult, error)
	FeedStatus(ctx context.Context, p *protocol.SiteParams) (protocol.FeedStatusResult, error)
	FeedControl(ctx context.Context, p *protocol.FeedControlParams) (protocol.FeedControlResult, error)
	FeedDeadList(ctx context.Context, p *protocol.FeedDeadListParams) (protocol.FeedDeadListResult, error)
	FeedDeadRetry(ctx context.Context, p *protocol.FeedDeadParams) (protocol.CountResult, error)
	FeedDeadDrop(ctx context.Context, p *protocol.FeedDeadParams) (protocol.CountResult, error)
}
