package site

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ticketd/ticketd/daemon/couriers"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/history"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Feeds are the parts of a site around the feed of its changes.
type Feeds struct {
	// Couriers are nil if the site has no feed.
	Couriers *couriers.Couriers
	// Pull is for clients that read the feed.
	Pull Pull
	// Changes is the history's table.
	Changes Changes
	// Keeps says whether the site keeps a history, and for how long. Optional.
	Keeps func() (keeps bool, keep time.Duration)

	size historySize
	site *Site // whose feed it is
}

// Changes is the history's table; see [mysql.History].
type Changes interface {
	Read(ctx context.Context, q mysql.HistoryQuery) (changes []mysql.Change, more bool, err error)
	Erase(ctx context.Context, ids []ticket.ID, upTo ticket.Revision) (int64, error)
	Size(ctx context.Context) (rows, bytes int64, err error)
}

// keeps says whether the site keeps a history.
func (f *Feeds) keeps() (keeps bool, keep time.Duration) {
	if f.Couriers == nil || f.Keeps == nil {
		return false, 0
	}
	return f.Keeps()
}

var (
	errNoHistory = protocol.Errorf(protocol.CodeInvalid, "this site keeps no history: set enabled = true in the section "+
		"[sites.NAME.history]")
	errNoFeed = protocol.Errorf(protocol.CodeInvalid, "this site has no feed: configure a destination, or the history")
)

// historyWait is for how long the history waits for the changes that were acknowledged before the request.
const historyWait = 500 * time.Millisecond

// History implements [daemon.Site].
func (f *Feeds) History(ctx context.Context, p *protocol.HistoryParams) (protocol.HistoryResult, error) {
	if keeps, _ := f.keeps(); !keeps {
		return protocol.HistoryResult{}, errNoHistory
	}
	d, err := f.site.known()
	if err != nil {
		return protocol.HistoryResult{}, err
	}
	waiting, cancel := context.WithTimeout(ctx, historyWait)
	result := protocol.HistoryResult{Changes: []protocol.HistoryChange{}, Stale: !f.Couriers.Await(waiting, history.Name)}
	cancel()
	if f.site.Journal != nil && f.site.Backend == protocol.BackendRedis && f.site.Journal().Entries > 0 {
		result.Stale = true // these changes are not in the feed yet
	}
	limit := p.Limit
	if limit == 0 {
		limit = protocol.DefaultChanges
	}
	changes, more, err := f.Changes.Read(ctx, mysql.HistoryQuery{
		Ticket: ticket.ID(p.ID), Before: ticket.Revision(p.Before), Field: p.Field, Limit: limit,
	})
	if err != nil {
		return protocol.HistoryResult{}, historyAnswer(err)
	}
	bytes := 0
	for i := range changes {
		c := &changes[i]
		wire := protocol.HistoryChange{
			Revision: int64(c.Revision), Kind: c.Kind, At: c.At, By: c.By, Via: c.Via, Erased: c.Values == nil, Gap: c.Gap,
		}
		for _, name := range slices.Sorted(maps.Keys(c.Values)) {
			of := protocol.FieldChange{Name: name, Values: c.Values[name]}
			for n := range of.Values {
				of.Values[n] = wireValue(d, ticket.Field{Name: name, Value: of.Values[n]})
			}
			wire.Values = append(wire.Values, of)
		}
		if bytes += wire.Bytes(); bytes > protocol.PageBytes && i > 0 {
			more = true
			break
		}
		result.Changes = append(result.Changes, wire)
	}
	if more {
		result.Next = result.Changes[len(result.Changes)-1].Revision
	}
	return result, nil
}

// historyAnswer makes an error of the history's table an answer.
func historyAnswer(err error) error {
	if errors.Is(err, flush.ErrSinkPaused) {
		return protocol.Errorf(protocol.CodeUnavailable, "the table of the history cannot be used: %v", err)
	}
	return answer(err)
}

// EraseHistory implements [daemon.Site]. The destinations are told, as ticketd cannot erase what they have. The history's courier
// may have read events before they were erased in the feed: it erases the values again when the event of the erasure comes.
func (f *Feeds) EraseHistory(ctx context.Context, p *protocol.EraseHistoryParams) (protocol.CountResult, error) {
	if f.Couriers == nil {
		return protocol.CountResult{}, errNoFeed
	}
	ids := idsOf(p.IDs)
	if err := f.Couriers.Erase(ctx, ids); err != nil {
		return protocol.CountResult{}, answer(err)
	}
	var n int64
	if keeps, _ := f.keeps(); keeps {
		var err error
		if n, err = f.Changes.Erase(ctx, ids, ticket.Ceiling); err != nil {
			return protocol.CountResult{}, historyAnswer(err)
		}
	}
	records, err := f.site.Store.Get(ctx, ids)
	if err != nil {
		return protocol.CountResult{}, answer(err)
	}
	events := make([]ticket.Event, len(ids))
	for i := range events {
		events[i] = ticket.Event{Kind: ticket.EventErased, Ticket: ids[i], Revision: records[i].Revision, At: time.Now()}
	}
	return protocol.CountResult{Count: n}, answer(f.Couriers.Feed().Append(ctx, events))
}

// FeedStatus implements [daemon.Site].
func (f *Feeds) FeedStatus(ctx context.Context, _ *protocol.SiteParams) (protocol.FeedStatusResult, error) {
	result := protocol.FeedStatusResult{Destinations: []protocol.FeedDestination{}}
	c := f.Couriers
	if c == nil {
		return result, nil
	}
	if usage, err := c.Usage(ctx); err == nil {
		result.Enabled, result.Backlog, result.BacklogBytes = usage.On, usage.Events, usage.Bytes
	}
	for _, of := range c.Status(ctx) {
		result.Destinations = append(result.Destinations, wireDestination(&of))
	}
	result.Destinations = append(result.Destinations, f.pulling(ctx, result.Destinations)...)
	if keeps, keep := f.keeps(); keeps {
		rows, bytes := f.size.of(ctx, f.Changes)
		result.History = protocol.HistoryStatus{Enabled: true, Rows: rows, Bytes: bytes, KeepMS: keep.Milliseconds()}
	}
	return result, nil
}

func wireDestination(of *couriers.Status) protocol.FeedDestination {
	d := protocol.FeedDestination{
		Name: of.Name, Kind: of.Kind, State: string(of.State), Reason: of.Reason, SinceMS: sinceMS(of.Since),
		LagEvents: int64(of.Behind), Letters: of.Letters, Held: of.Held, //nolint:gosec // a count of events
		Gaps: of.Gaps, Lost: of.Lost, Sent: of.Confirmed, Snapshot: of.Snapshot, Rows: of.Rows,
	}
	if !of.Oldest.IsZero() {
		d.LagMS = sinceMS(of.Oldest)
	}
	return d
}

func sinceMS(t time.Time) int64 { return max(time.Since(t).Milliseconds(), 0) }

// pulling describes the destinations that clients read; but are the others.
func (f *Feeds) pulling(ctx context.Context, but []protocol.FeedDestination) []protocol.FeedDestination {
	source := f.Couriers.Feed()
	all, err := source.Destinations(ctx)
	if err != nil {
		return nil
	}
	var found []protocol.FeedDestination
	for _, name := range slices.Sorted(maps.Keys(all)) {
		of := all[name]
		if slices.ContainsFunc(but, func(d protocol.FeedDestination) bool { return d.Name == name }) {
			continue
		}
		d := protocol.FeedDestination{
			Name: name, Kind: "pull", State: "idle", Letters: of.Letters, LagEvents: eventsBehind(ctx, source, of.Cursors),
		}
		switch of.Owner {
		case "":
		case feed.StoppedToken:
			d.State = string(feed.StateStopped)
		default:
			d.State, d.Runner = string(feed.StateUp), true
		}
		found = append(found, d)
	}
	return found
}

// eventsBehind counts the events behind cursors, as far as the feed tells.
func eventsBehind(ctx context.Context, source store.Feed, cursors []store.Cursor) int64 {
	var n int64
	for p, at := range cursors {
		if end, err := source.End(ctx, p); err == nil && at != "" && !at.Reached(end) {
			n += int64(end.Number() - at.Number()) //nolint:gosec // a count of events
		}
	}
	return n
}

// historySize remembers the size of the history, which the database estimates.
type historySize struct {
	mu          sync.Mutex
	at          time.Time
	rows, bytes int64
}

func (h *historySize) of(ctx context.Context, changes Changes) (rows, bytes int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if time.Since(h.at) > time.Minute {
		if rows, bytes, err := changes.Size(ctx); err == nil {
			h.at, h.rows, h.bytes = time.Now(), rows, bytes
		}
	}
	return h.rows, h.bytes
}

// FeedControl implements [daemon.Site].
func (f *Feeds) FeedControl(ctx context.Context, p *protocol.FeedControlParams) (protocol.FeedControlResult, error) {
	c := f.Couriers
	if c == nil {
		return protocol.FeedControlResult{}, errNoFeed
	}
	var err error
	switch p.Action {
	case protocol.FeedTest:
		err = c.Test(ctx, p.Name, "")
		if err != nil && !errors.Is(err, couriers.ErrNoDestination) && ctx.Err() == nil {
			err = protocol.Errorf(protocol.CodeUnavailable, "the destination did not confirm the test event: %v", err)
		}
	case protocol.FeedPause:
		err = c.Pause(ctx, p.Name)
	case protocol.FeedResume:
		err = c.Resume(ctx, p.Name)
	case protocol.FeedRewind:
		err = c.Rewind(ctx, p.Name, p.To)
	case protocol.FeedSnapshot:
		err = c.Snapshot(ctx, p.Name)
	}
	if err == nil {
		f.site.Log.Info().Str("destination", p.Name).Str("action", string(p.Action)).Msg("a destination was operated on request")
	}
	return protocol.FeedControlResult{}, feedAnswer(err)
}

// feedAnswer makes an error of the couriers an answer.
func feedAnswer(err error) error {
	switch {
	case errors.Is(err, couriers.ErrNoDestination):
		return protocol.Invalid("name", "%v", err)
	case errors.Is(err, couriers.ErrElsewhere):
		return protocol.Errorf(protocol.CodeUnavailable, "%v", err)
	case errors.Is(err, store.ErrNotOwner):
		return protocol.Errorf(protocol.CodeUnavailable, "another program takes the destination all the time: try again")
	default:
		return answer(err)
	}
}

// FeedDeadList implements [daemon.Site].
func (f *Feeds) FeedDeadList(ctx context.Context, p *protocol.FeedDeadListParams) (protocol.FeedDeadListResult, error) {
	result := protocol.FeedDeadListResult{Letters: []protocol.FeedLetter{}}
	if f.Couriers == nil {
		return result, errNoFeed
	}
	limit := p.Limit
	if limit == 0 {
		limit = protocol.DefaultLimit
	}
	letters, err := f.Couriers.Letters(ctx, p.Name, uint64(p.After), limit) //nolint:gosec // above zero
	if err != nil {
		return protocol.FeedDeadListResult{}, feedAnswer(err)
	}
	bytes := 0
	for i := range letters {
		l := &letters[i]
		wire := protocol.FeedLetter{
			ID:   int64(l.Key), //nolint:gosec // counted from 1
			Kind: string(l.Event.Kind), Ticket: int64(l.Event.Ticket), Revision: int64(l.Event.Revision), Fields: l.Event.Fields,
			Since: l.Since, At: l.At, Tries: int64(l.Tries), Held: l.Held, Reason: l.Reason, Answer: string(l.Answer),
		}
		if wire.Since.IsZero() {
			wire.Since = l.At
		}
		if bytes += wire.Bytes(); bytes > protocol.PageBytes && i > 0 {
			break
		}
		result.Letters = append(result.Letters, wire)
	}
	return result, nil
}

// FeedDeadRetry implements [daemon.Site].
func (f *Feeds) FeedDeadRetry(ctx context.Context, p *protocol.FeedDeadParams) (protocol.CountResult, error) {
	if f.Couriers == nil {
		return protocol.CountResult{}, errNoFeed
	}
	n, err := f.Couriers.Retry(ctx, p.Name, keysOf(p))
	if n > 0 {
		f.Pull.Again(p.Name)
	}
	return protocol.CountResult{Count: int64(n)}, feedAnswer(err)
}

// FeedDeadDrop implements [daemon.Site].
func (f *Feeds) FeedDeadDrop(ctx context.Context, p *protocol.FeedDeadParams) (protocol.CountResult, error) {
	if f.Couriers == nil {
		return protocol.CountResult{}, errNoFeed
	}
	n, err := f.Couriers.Drop(ctx, p.Name, keysOf(p))
	if n > 0 {
		f.site.Log.Warn().Str("destination", p.Name).Int("letters", n).Msg("letters of a destination were dropped on request")
	}
	return protocol.CountResult{Count: int64(n)}, feedAnswer(err)
}

// keysOf returns the keys of letters; nil for all.
func keysOf(p *protocol.FeedDeadParams) []uint64 {
	if p.All {
		return nil
	}
	keys := make([]uint64, len(p.IDs))
	for i, id := range p.IDs {
		keys[i] = uint64(id) //nolint:gosec // above zero
	}
	return keys
}
