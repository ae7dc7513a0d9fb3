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

// method is the daemon's knowledge of a method of the protocol.
type method struct {
	run
	// reads: the method shows tickets in their present state.
	reads bool
	// changes: the method changes tickets.
	changes bool
	// slow: the method may wait for MySQL for a long time. A client that gives up on a slow method has learned nothing about the
	// daemon's health.
	slow bool
	// hot: small requests of the method may join a round of the event loop; nil: never.
	hot *hotMethod
}

// hotMethod adds a request of the method to a site's batch.
type hotMethod struct {
	params func() protocol.Params
	add    func(b Hot, p protocol.Params) bool
}

// hot makes the hotMethod of a method of Hot: P are the parameters.
func hot[P any, PP interface {
	*P
	protocol.Params
}](add func(Hot, PP) bool) *hotMethod {
	return &hotMethod{
		params: func() protocol.Params { return PP(new(P)) },
		add: func(b Hot, p protocol.Params) bool {
			of, is := p.(PP)
			return is && add(b, of)
		},
	}
}

// run decodes a method's parameters, finds the site and calls the site's method.
type run func(ctx context.Context, d *Dispatcher, r *request) (protocol.Result, error)

// methods holds every method of the protocol. Only flush has no deadline.
var methods = map[protocol.Method]*method{
	protocol.MethodPing:      {run: ping},
	protocol.MethodCreate:    {run: bounded(Site.Create), changes: true, hot: hot(Hot.Create)},
	protocol.MethodSet:       {run: bounded(Site.Set), changes: true, hot: hot(Hot.Set)},
	protocol.MethodSetMany:   {run: bounded(Site.SetMany), changes: true, hot: hot(Hot.SetMany)},
	protocol.MethodCheck:     {run: bounded(Site.Check)},
	protocol.MethodGet:       {run: bounded(Site.Get), reads: true, hot: hot(Hot.Get)},
	protocol.MethodGetMany:   {run: bounded(Site.GetMany), reads: true, hot: hot(Hot.GetMany)},
	protocol.MethodList:      {run: bounded(Site.List), reads: true, slow: true},
	protocol.MethodCount:     {run: bounded(Site.Count), reads: true, slow: true},
	protocol.MethodDelete:    {run: bounded(Site.Delete), changes: true},
	protocol.MethodFlush:     {run: flush, slow: true},
	protocol.MethodDeadList:  {run: bounded(Site.DeadList)},
	protocol.MethodDeadRetry: {run: bounded(Site.DeadRetry)},
	protocol.MethodDeadDrop:  {run: bounded(Site.DeadDrop)},
	protocol.MethodStatus:    {run: status},
	protocol.MethodWaiting:   {run: bounded(Site.Waiting), reads: true, hot: hot(Hot.Waiting)},
	protocol.MethodDescribe:  {run: bounded(Site.Describe)},

	protocol.MethodHistory:       {run: bounded(Site.History), reads: true, slow: true},
	protocol.MethodEraseHistory:  {run: bounded(Site.EraseHistory), slow: true},
	protocol.MethodFeedStatus:    {run: bounded(Site.FeedStatus)},
	protocol.MethodFeedControl:   {run: bounded(Site.FeedControl), slow: true},
	protocol.MethodFeedDeadList:  {run: bounded(Site.FeedDeadList)},
	protocol.MethodFeedDeadRetry: {run: bounded(Site.FeedDeadRetry)},
	protocol.MethodFeedDeadDrop:  {run: bounded(Site.FeedDeadDrop)},
	protocol.MethodFeedRead:      {run: bounded(Site.FeedRead), slow: true},
	protocol.MethodFeedAck:       {run: bounded(Site.FeedAck)},
}

// Methods returns the names of all methods, in order.
func Methods() []protocol.Method { return slices.Sorted(maps.Keys(methods)) }

// IsSlow returns whether a method of [Methods] may wait for MySQL for a long time after the daemon has read the request.
func IsSlow(m protocol.Method) bool { return methods[m].slow }

// bounded makes a run of a method of Site: P are the parameters, R is the result.
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

// named adds the request id, if any, to an error, so that a reader can match the client's log with the daemon's.
func named(p protocol.Params, err error) error {
	if c, is := asChange(p); is && c.RequestID != "" {
		return fmt.Errorf("request %q: %w", c.RequestID, err)
	}
	return err
}

func ping(_ context.Context, d *Dispatcher, r *request) (protocol.Result, error) {
	site, err := d.siteFor(r, &protocol.SiteParams{})
	if err != nil {
		return nil, err
	}
	return &protocol.PingResult{Version: d.version, Protocol: protocol.Version, Features: site.Features()}, nil
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
	ofSite, err := site.Status(ctx, d.sites.Operates(r.peer))
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
