package daemon

import (
	"context"

	"github.com/ticketd/ticketd/protocol"
)

// Sites finds the site that a request is for. It is asked for every request, on the connection's goroutine, and must
// not block.
type Sites interface {
	// For returns the site that a request is for: of those that the peer may use the one that it names, or whose table it names,
	// or the only one. A change out of the spool is known by the identity of its table, too. The error is a *[protocol.Error]:
	// forbidden where the peer may use no such site (an unknown name too, so that nobody can probe for names) or the site's table
	// is another one, invalid with the field "site" where several would do, [ErrNotMeant] where several would do and none has the
	// identity, unavailable where one that is not known yet may have it.
	For(peer Peer, of protocol.Params) (Site, error)
}

// Site is what the methods of the protocol are asked of: one site's tickets. All methods are safe for concurrent use.
//
// The parameters are valid as far as the protocol goes (ids and names in range, at most [protocol.MaxTickets] of them,
// text is UTF-8, no field twice); whether the table takes them is for the site to say. Parameters belong to the site
// from then on; their strings keep the whole frame alive, so what outlives the request must be cloned.
//
// A *[protocol.Error] anywhere in an error's chain is answered as it is. A context that ran out is answered
// unavailable. Every other error is logged by the daemon and answered internal, without its text. The site itself logs
// none of the errors that it returns.
type Site interface {
	Tickets
	Lists
	DeadLetters
	// Flush has no deadline but the daemon's own stop. It calls progress as often as it likes, on the caller's goroutine
	// only: what is too often for the wire is dropped. The context ends when the client is found to be gone.
	Flush(ctx context.Context, p *protocol.FlushParams, progress func(done, total int64)) (protocol.FlushResult, error)
	Status(ctx context.Context) (protocol.SiteStatus, error)
}

// Spool holds changes that clients could not deliver.
type Spool interface {
	// Settle returns when everything has been taken in that was in the spool before the call. The error is a
	// *[protocol.Error]: that takes longer than ctx, or the request needs older changes that the site cannot take: a create and a
	// flush all of them, another change those of its tickets.
	Settle(ctx context.Context, site Site, p protocol.Params) error
	// Behind says that the site cannot take changes now that waited before the last Settle: what it shows may be older.
	Behind(site Site) bool
	// Status counts what waits in the folders that may hold changes of a site; nil stands for all sites.
	Status(site Site) protocol.SpoolStatus
	// Warnings are problems of the same folders that an operator must solve.
	Warnings(site Site) []string
}

// Tickets is the part of a site that pages use: tickets by their ids.
type Tickets interface {
	Create(ctx context.Context, p *protocol.CreateParams) (protocol.CreateResult, error)
	Set(ctx context.Context, p *protocol.SetParams) (protocol.RevisionResult, error)
	// SetMany returns one outcome per pair, in their order. A pair that has an Err was refused already and gets it back.
	SetMany(ctx context.Context, p *protocol.SetManyParams) (protocol.SetManyResult, error)
	Get(ctx context.Context, p *protocol.GetParams) (protocol.Ticket, error)
	// GetMany returns one ticket per id, in their order, nil where there is none.
	GetMany(ctx context.Context, p *protocol.GetManyParams) (protocol.GetManyResult, error)
	Delete(ctx context.Context, p *protocol.DeleteParams) (protocol.RevisionResult, error)
}

// Lists is the part of a site that finds tickets by what they hold. Unless the selection is Stale it shows every change
// that was acknowledged before the call, on any host.
type Lists interface {
	List(ctx context.Context, p *protocol.ListParams) (protocol.ListResult, error)
	Count(ctx context.Context, p *protocol.CountParams) (protocol.CountResult, error)
}

// DeadLetters is the part of a site that says what becomes of tickets that MySQL refuses.
type DeadLetters interface {
	DeadList(ctx context.Context, p *protocol.DeadListParams) (protocol.DeadListResult, error)
	DeadRetry(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error)
	DeadDrop(ctx context.Context, p *protocol.DeadParams) (protocol.CountResult, error)
}
