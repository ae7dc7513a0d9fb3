package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// Dispatcher brings a request to its site: method, parameters, permission, call. It is the daemon's [Handler].
type Dispatcher struct {
	sites       Sites
	connections *Connections
	version     string
	timeout     time.Duration
	started     time.Time
	spool       Spool // nil where there is none
}

// NewDispatcher makes a dispatcher. timeout bounds every request but flush, also where its client waits longer; version is the
// daemon's own.
func NewDispatcher(sites Sites, connections *Connections, version string, timeout time.Duration) *Dispatcher {
	return &Dispatcher{
		sites: sites, connections: connections, version: version, timeout: timeout, started: time.Now(),
	}
}

// UseSpool has older changes ingested from a spool before a request is worked on. It is called before any request is.
func (d *Dispatcher) UseSpool(s Spool) { d.spool = s }

// request is one request on its way through a method.
type request struct {
	peer     Peer
	method   *method
	params   protocol.Raw
	progress func(done, total int64)
}

// Handle implements [Handler].
func (d *Dispatcher) Handle(
	ctx context.Context, peer Peer, req protocol.Request, progress func(done, total int64),
) (protocol.Result, error) {
	m, known := methods[req.Method]
	if !known {
		return nil, protocol.Errorf(protocol.CodeUnknownMethod, "there is no method %q", shown(req.Method))
	}
	result, err := m.run(ctx, d, &request{peer: peer, method: m, params: req.Params, progress: progress})
	if err != nil {
		return nil, d.explain(ctx, req.Method, err)
	}
	return result, nil
}

// explain makes of the errors that are no fault of the daemon what the client may know of them.
func (d *Dispatcher) explain(ctx context.Context, m protocol.Method, err error) error {
	var failure *protocol.Error
	switch {
	case errors.As(err, &failure):
		return failure
	case ctx.Err() != nil:
		return protocol.Errorf(protocol.CodeUnavailable, "%s was cut off: the daemon stops", m)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return protocol.Errorf(protocol.CodeUnavailable, "%s was not done in time", m)
	default:
		return fmt.Errorf("%s: %w", m, err)
	}
}

// siteFor decodes the parameters and returns the site that they name.
func (d *Dispatcher) siteFor(r *request, p protocol.Params) (Site, error) {
	if err := p.Decode(r.params); err != nil {
		return nil, err
	}
	site, err := d.sites.For(r.peer, p)
	if err == nil && !Meant(p, site) {
		return nil, ErrNotMeant
	}
	return site, err
}

// UndecidedError refuses a change that the store cannot decide by itself, as a place that would tell whether its ticket exists
// does not answer. It says nothing of other tickets' changes. A change that was acknowledged before is tried again, whatever
// Refusal says to a client who can decide anew.
type UndecidedError struct {
	Refusal *protocol.Error
	// Taken says that the id belonged to a ticket: no create is given it.
	Taken bool
}

func (e *UndecidedError) Error() string { return e.Refusal.Error() }

func (e *UndecidedError) Unwrap() error { return e.Refusal }

// ErrNotMeant refuses a change that is meant for another table than its site's.
var ErrNotMeant = protocol.Invalid("identity", "the change is meant for another table than this site's")

// ErrPredates refuses a change that was acknowledged before the ticket was created that has its id; see
// [github.com/ticketd/ticketd/store.Mutation.Predates]. It is written beside the change in the spool's bad/.
var ErrPredates = protocol.Errorf(protocol.CodeExists, "the change was acknowledged before the ticket that has its id was "+
	"created, so it means another ticket: if it is that ticket's after all, move the file back up and leave this reason here; "+
	"else remove both")

// Meant says whether a change is meant for the table that a site serves; a change that carries no identity is. A site that does
// not know its table yet cannot tell: it serves no request, and compares the identity itself once it knows its own.
func Meant(p protocol.Params, site Site) bool {
	change, is := asChange(p)
	serving, knows := site.(interface{ Owns(identity string) bool })
	return !is || !knows || change.Identity == "" || serving.Owns(change.Identity)
}

func asChange(p protocol.Params) (c *protocol.Change, is bool) {
	change, is := p.(interface{ AsChange() *protocol.Change })
	if !is {
		return nil, false
	}
	return change.AsChange(), true
}

// settle waits for what is in the spool.
func (d *Dispatcher) settle(ctx context.Context, site Site, p protocol.Params) error {
	if d.spool == nil {
		return nil
	}
	return d.spool.Settle(ctx, site, p)
}

// limit is how long the daemon works on a request. A fifth of the client's time is left for the way there and back and for a busy
// host: a client that hears nothing in its time must conclude that the daemon hangs, whatever the request waits for, and
// PHP's then leave the daemon alone for seconds.
func (d *Dispatcher) limit(p protocol.Params) time.Duration { return min(d.timeout, p.Waits()/5*4) }

// shown makes a method's name from outside fit for a message or a log line.
func shown(m protocol.Method) string {
	return string(m[:min(len(m), protocol.MaxName)])
}
