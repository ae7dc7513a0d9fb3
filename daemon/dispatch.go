package daemon

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// Dispatcher calls the site for a request: method, parameters, permission, call. Dispatcher is the daemon's [Handler].
type Dispatcher struct {
	sites       Access
	connections *Connections
	version     string
	timeout     time.Duration
	started     time.Time
	spool       Spool // nil without a spool
	meter       Meter // nil counts nothing
}

// NewDispatcher returns a dispatcher. timeout bounds every request but flush, even if the client waits longer; version is the
// daemon's own.
func NewDispatcher(sites Access, connections *Connections, version string, timeout time.Duration) *Dispatcher {
	return &Dispatcher{
		sites: sites, connections: connections, version: version, timeout: timeout, started: time.Now(),
	}
}

// UseSpool makes each request wait until the spool has ingested older changes. Call UseSpool before the first request.
func (d *Dispatcher) UseSpool(s Spool) { d.spool = s }

// UseMeter counts all requests. Call UseMeter before the first request.
func (d *Dispatcher) UseMeter(m Meter) { d.meter = m }

// request is a request on its way through a method.
type request struct {
	peer     Peer
	method   *method
	params   protocol.Raw
	progress func(done, total int64)
	site     string // the name of the site, once it is found
}

// Handle implements [Handler].
func (d *Dispatcher) Handle(
	ctx context.Context, peer Peer, req protocol.Request, progress func(done, total int64),
) (protocol.Result, error) {
	r := &request{peer: peer, method: methods[req.Method], params: req.Params, progress: progress}
	var err error = errInternal // of a request that panics
	if d.meter != nil {
		began := time.Now()
		defer func() { d.meter.Count(r.site, req.Method, err, time.Since(began)) }()
	}
	if r.method == nil {
		err = protocol.Errorf(protocol.CodeUnknownMethod, "there is no method %q", shown(req.Method))
		return nil, err
	}
	result, failed := r.method.run(ctx, d, r)
	if err = failed; err != nil {
		err = d.explain(ctx, req.Method, err)
		return nil, err
	}
	return result, nil
}

// explain turns each error that is not a fault of the daemon into the error reply for the client.
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
	if err != nil {
		return nil, err
	}
	r.site = labelOf(site)
	if !Meant(p, site) {
		return nil, ErrNotMeant
	}
	Sign(p, r.peer)
	return site, nil
}

// labelOf returns the site's name for the meter.
func labelOf(site Site) string {
	if named, is := site.(interface{ Label() string }); is {
		return named.Label()
	}
	return ""
}

// UndecidedError refuses a change that the store cannot decide alone, because the place that knows whether the ticket exists
// does not answer. Changes of other tickets are not concerned. A change acknowledged before is retried, whatever Refusal
// tells a client that can decide anew.
type UndecidedError struct {
	Refusal *protocol.Error
	// Taken: the id belonged to a ticket, so no create may use the id.
	Taken bool
}

func (e *UndecidedError) Error() string { return e.Refusal.Error() }

func (e *UndecidedError) Unwrap() error { return e.Refusal }

// ErrNotMeant refuses a change that names another table than its site's.
var ErrNotMeant = protocol.Invalid("identity", "the change is meant for another table than this site's")

// ErrPredates refuses a change that was acknowledged before the ticket with the same id was created; see
// [github.com/ticketd/ticketd/store.Mutation.Predates]. The spool writes the text beside the change in bad/.
var ErrPredates = protocol.Errorf(protocol.CodeExists, "the change was acknowledged before the ticket that has its id was "+
	"created, so it means another ticket: if it is that ticket's after all, move the file back up and leave this reason here; "+
	"else remove both")

// Meant returns whether a change is for the site's table. A change without an identity is for any table. A site whose own
// identity is still unknown accepts the change here: such a site serves no request, and compares the identity itself later.
func Meant(p protocol.Params, site Site) bool {
	change, is := asChange(p)
	serving, knows := site.(interface{ Owns(identity string) bool })
	return !is || !knows || change.Identity == "" || serving.Owns(change.Identity)
}

// Sign names the peer as the origin of a change whose client names none.
func Sign(p protocol.Params, peer Peer) {
	if change, is := asChange(p); is && change.By == "" {
		change.By = "peer:" + strconv.FormatUint(uint64(peer.UID), 10)
	}
}

func asChange(p protocol.Params) (c *protocol.Change, is bool) {
	change, is := p.(interface{ AsChange() *protocol.Change })
	if !is {
		return nil, false
	}
	return change.AsChange(), true
}

// settle waits until the spool has ingested its pending changes.
func (d *Dispatcher) settle(ctx context.Context, site Site, p protocol.Params) error {
	if d.spool == nil {
		return nil
	}
	return d.spool.Settle(ctx, site, p)
}

// limit is how long the daemon works on a request. A fifth of the client's time remains for the transport and for a busy
// host: a client without an answer in its time must conclude that the daemon hangs, whatever the request waits for, and PHP's
// clients then avoid the daemon for seconds.
func (d *Dispatcher) limit(p protocol.Params) time.Duration { return min(d.timeout, p.Waits()/5*4) }

// shown cuts a method's name from outside to a length fit for a message or a log line.
func shown(m protocol.Method) string {
	return string(m[:min(len(m), protocol.MaxName)])
}
