package daemon

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
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
	method   protocol.Method
	params   protocol.Raw
	progress func(done, total int64)
}

// method decodes its parameters, finds the site and calls it.
type method func(ctx context.Context, d *Dispatcher, r *request) (protocol.Result, error)

// methods holds every method of the protocol; flush alone has no deadline.
var methods = map[protocol.Method]method{
	protocol.MethodPing:      ping,
	protocol.MethodCreate:    bounded(Site.Create),
	protocol.MethodSet:       bounded(Site.Set),
	protocol.MethodSetMany:   bounded(Site.SetMany),
	protocol.MethodGet:       bounded(Site.Get),
	protocol.MethodGetMany:   bounded(Site.GetMany),
	protocol.MethodList:      bounded(Site.List),
	protocol.MethodCount:     bounded(Site.Count),
	protocol.MethodDelete:    bounded(Site.Delete),
	protocol.MethodFlush:     flush,
	protocol.MethodDeadList:  bounded(Site.DeadList),
	protocol.MethodDeadRetry: bounded(Site.DeadRetry),
	protocol.MethodDeadDrop:  bounded(Site.DeadDrop),
	protocol.MethodStatus:    status,
}

// Methods returns the names of all methods, in order.
func Methods() []protocol.Method { return slices.Sorted(maps.Keys(methods)) }

// Handle implements [Handler].
func (d *Dispatcher) Handle(
	ctx context.Context, peer Peer, req protocol.Request, progress func(done, total int64),
) (protocol.Result, error) {
	run, known := methods[req.Method]
	if !known {
		return nil, protocol.Errorf(protocol.CodeUnknownMethod, "there is no method %q", shown(req.Method))
	}
	result, err := run(ctx, d, &request{peer: peer, method: req.Method, params: req.Params, progress: progress})
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
	site, err := d.sites.For(r.peer, p.SiteName())
	if err == nil && !Meant(p, site) {
		return nil, ErrNotMeant
	}
	return site, err
}

// ErrNotMeant refuses a change that is meant for another table than its site's.
var ErrNotMeant = protocol.Invalid("identity", "the change is meant for another table than this site's")

// Meant says whether a change is meant for the table that a site serves; a change that carries no identity is. A site that does
// not know its table yet cannot tell: it serves no request, and compares the identity itself once it knows its own.
func Meant(p protocol.Params, site Site) bool {
	change, may := p.(interface{ TableIdentity() string })
	serving, knows := site.(interface{ Owns(identity string) bool })
	return !may || !knows || change.TableIdentity() == "" || serving.Owns(change.TableIdentity())
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

// reads says whether a method shows tickets as they are now.
func reads(m protocol.Method) bool {
	switch m {
	case protocol.MethodGet, protocol.MethodGetMany, protocol.MethodList, protocol.MethodCount:
		return true
	default:
		return false
	}
}

var errBehind = protocol.Errorf(protocol.CodeUnavailable,
	"no such ticket is known, but changes wait in the spool that cannot be made yet: one of them may make it")

// markStale says of what was read that changes may be missing.
func markStale(result protocol.Result) {
	switch r := result.(type) {
	case *protocol.Ticket:
		r.Stale = true
	case *protocol.GetManyResult:
		r.Stale = true
		for _, t := range r.Tickets {
			if t != nil {
				t.Stale = true
			}
		}
	case *protocol.ListResult:
		r.Stale = true
	case *protocol.CountResult:
		r.Stale = true
	}
}

// changes says whether a method changes tickets.
func changes(m protocol.Method) bool {
	switch m {
	case protocol.MethodCreate, protocol.MethodSet, protocol.MethodSetMany, protocol.MethodDelete:
		return true
	default:
		return false
	}
}

// bounded makes a method of one of a Site's: P are its parameters, R is its result.
func bounded[P, R any, PP interface {
	*P
	protocol.Params
}, PR interface {
	*R
	protocol.Result
}](call func(Site, context.Context, PP) (R, error)) method {
	return func(ctx context.Context, d *Dispatcher, r *request) (protocol.Result, error) {
		params := PP(new(P))
		site, err := d.siteFor(r, params)
		if err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, d.limit(params))
		defer cancel()
		if err := d.settle(ctx, site, params); err != nil {
			return nil, err
		}
		behind := d.spool != nil && reads(r.method) && d.spool.Behind(site)
		result, err := call(site, ctx, params)
		if behind && errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
			err = errBehind
		}
		if err != nil {
			return nil, named(params, err)
		}
		if behind {
			markStale(PR(&result))
		}
		return PR(&result), nil
	}
}

// named adds to an error the request id, where the request has one: with it the client's log and this one can be brought
// together.
func named(p protocol.Params, err error) error {
	id := ""
	switch p := p.(type) {
	case *protocol.CreateParams:
		id = p.RequestID
	case *protocol.SetParams:
		id = p.RequestID
	case *protocol.SetManyParams:
		id = p.RequestID
	case *protocol.DeleteParams:
		id = p.RequestID
	}
	if id == "" {
		return err
	}
	return fmt.Errorf("request %q: %w", id, err)
}

func ping(_ context.Context, d *Dispatcher, r *request) (protocol.Result, error) {
	if _, err := d.siteFor(r, &protocol.SiteParams{}); err != nil {
		return nil, err
	}
	return &protocol.PingResult{Version: d.version, Protocol: protocol.Version}, nil
}

func flush(ctx context.Context, d *Dispatcher, r *request) (protocol.Result, error) {
	params := &protocol.FlushParams{}
	site, err := d.siteFor(r, params)
	if err != nil {
		return nil, err
	}
	settling, cancel := context.WithTimeout(ctx, d.limit(params))
	defer cancel()
	if err := d.settle(settling, site, params); err != nil {
		return nil, err
	}
	result, err := site.Flush(ctx, params, r.progress)
	if err != nil {
		return nil, err
	}
	return &result, nil
}

func status(ctx context.Context, d *Dispatcher, r *request) (protocol.Result, error) {
	params := &protocol.SiteParams{}
	site, err := d.siteFor(r, params)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, d.limit(params))
	defer cancel()
	ofSite, err := site.Status(ctx)
	if err != nil {
		return nil, err
	}
	ofDaemon := protocol.DaemonStatus{
		Version: d.version, UptimeMS: time.Since(d.started).Milliseconds(), PID: int64(os.Getpid()),
		ConnectionsOpen: d.connections.Open(), ConnectionsLimit: d.connections.Limit(),
	}
	if d.spool != nil {
		ofDaemon.Spool = d.spool.Status(site)
		ofSite.Warnings = append(ofSite.Warnings, d.spool.Warnings(site)...)
	}
	return &protocol.StatusResult{SiteStatus: ofSite, DaemonStatus: ofDaemon}, nil
}

// shown makes a method's name from outside fit for a message or a log line.
func shown(m protocol.Method) string {
	return string(m[:min(len(m), protocol.MaxName)])
}
