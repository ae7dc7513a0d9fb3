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

// method is what the daemon knows of one of the protocol's methods.
type method struct {
	run
	// reads says that it shows tickets as they are now.
	reads bool
	// changes says that it changes tickets.
	changes bool
	// slow says that it may wait for MySQL long after the daemon has heard of it: that its client gives up says nothing about the
	// daemon.
	slow bool
}

// run decodes a method's parameters, finds the site and calls it.
type run func(ctx context.Context, d *Dispatcher, r *request) (protocol.Result, error)

// methods holds every method of the protocol; flush alone has no deadline.
var methods = map[protocol.Method]*method{
	protocol.MethodPing:      {run: ping},
	protocol.MethodCreate:    {run: bounded(Site.Create), changes: true},
	protocol.MethodSet:       {run: bounded(Site.Set), changes: true},
	protocol.MethodSetMany:   {run: bounded(Site.SetMany), changes: true},
	protocol.MethodGet:       {run: bounded(Site.Get), reads: true},
	protocol.MethodGetMany:   {run: bounded(Site.GetMany), reads: true},
	protocol.MethodList:      {run: bounded(Site.List), reads: true, slow: true},
	protocol.MethodCount:     {run: bounded(Site.Count), reads: true, slow: true},
	protocol.MethodDelete:    {run: bounded(Site.Delete), changes: true},
	protocol.MethodFlush:     {run: flush, slow: true},
	protocol.MethodDeadList:  {run: bounded(Site.DeadList)},
	protocol.MethodDeadRetry: {run: bounded(Site.DeadRetry)},
	protocol.MethodDeadDrop:  {run: bounded(Site.DeadDrop)},
	protocol.MethodStatus:    {run: status},
}

// Methods returns the names of all methods, in order.
func Methods() []protocol.Method { return slices.Sorted(maps.Keys(methods)) }

// IsSlow says whether a method of [Methods] may wait for MySQL long after the daemon has heard of it.
func IsSlow(m protocol.Method) bool { return methods[m].slow }

// bounded makes a method of one of a Site's: P are its parameters, R is its result.
func bounded[P, R any, PP interface {
	*P
	protocol.Params
}, PR interface {
	*R
	protocol.Result
}](call func(Site, context.Context, PP) (R, error)) run {
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
		behind := d.spool != nil && r.method.reads && d.spool.Behind(site)
		result, err := call(site, ctx, params)
		if behind && errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
			err = errBehind
		}
		if err != nil {
			return nil, named(params, err)
		}
		if shown, shows := protocol.Result(PR(&result)).(interface{ MarkStale() }); behind && shows {
			shown.MarkStale()
		}
		return PR(&result), nil
	}
}

var errBehind = protocol.Errorf(protocol.CodeUnavailable,
	"no such ticket is known, but the spool has pending changes that cannot be made yet, and one of these may create the ticket")

// named adds to an error the request id, where the request has one: with it the client's log and this one can be brought
// together.
func named(p protocol.Params, err error) error {
	if c, is := asChange(p); is && c.RequestID != "" {
		return fmt.Errorf("request %q: %w", c.RequestID, err)
	}
	return err
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
