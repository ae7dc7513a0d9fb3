package boot

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/couriers"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/amqp"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/history"
	"github.com/ticketd/ticketd/sync/feed/kafka"
	"github.com/ticketd/ticketd/sync/feed/nats"
	"github.com/ticketd/ticketd/sync/feed/webhook"
	"github.com/ticketd/ticketd/sync/mysql"
)

// openFeeds makes the couriers of a site, if its store has a feed.
func (s *runningSite) openFeeds(ctx context.Context, c *config.Site) (*site.Feeds, error) {
	feeds := &site.Feeds{Changes: mysql.NewHistory(s.database), Keeps: s.keepsHistory}
	feeds.Pull.On = func() bool { return s.pull.Load().Follows() }
	feeds.Pull.Omit = func() []string { return s.pull.Load().Feed.Omit }
	feeds.Pull.Reserved = func(name string) bool {
		d, known := s.pull.Load().Feeds[name]
		return name == history.Name || known && d.Kind != config.KindPull
	}
	if source := s.backend.Feed(); source != nil {
		s.couriers = couriers.New(couriers.Options{Feed: source, Rows: s.snapshotRows, Log: s.log})
		feeds.Couriers = s.couriers
	} else if c.Follows() {
		s.log.Warn().Msg("this site's store has no feed: its history and its destinations get nothing")
	}
	return feeds, s.applyFeeds(ctx, c)
}

// applyFeeds makes the site's couriers those of the configuration.
func (s *runningSite) applyFeeds(ctx context.Context, c *config.Site) error {
	kept, pull := c.History, *c
	s.history.Store(&kept)
	s.pull.Store(&pull)
	if s.couriers == nil {
		return nil
	}
	s.couriers.Keep(couriers.Keeping{
		On: c.Follows(), MaxEvents: int64(c.Feed.MaxEvents), MaxBytes: int64(c.Feed.MaxBytes), For: c.Feed.Keep,
	})
	var all []couriers.Destination
	if c.History.Enabled {
		all = append(all, couriers.Destination{
			Name: history.Name, Kind: history.Name, Settings: settingsOf(c.History), GiveUp: historyGiveUp,
			Open: func() (feed.Publisher, error) {
				return history.New(mysql.NewHistory(s.database), history.Options{
					Keep: kept.Keep, Omit: kept.Omit, Touched: s.touched, Served: s.custody.served, Log: s.log,
				}), nil
			},
		})
	}
	for _, name := range c.DestinationNames() {
		d := c.Feeds[name]
		if d.Kind == config.KindPull { // clients serve it
			continue
		}
		all = append(all, couriers.Destination{
			Name: name, Kind: d.Kind, Settings: settingsOf(d) + fmt.Sprint(c.Feed.Omit), GiveUp: d.GiveUp, View: s.viewOf(&d, c.Feed.Omit),
			Open: func() (feed.Publisher, error) { return s.publisherOf(&d) },
		})
	}
	return s.couriers.Apply(ctx, all)
}

// historyGiveUp is for how long a row that MySQL refuses is tried.
const historyGiveUp = time.Hour

// settingsOf is a section as text, for comparison alone: it has secrets.
func settingsOf(section any) string {
	all := map[string]string{}
	flatten(reflect.ValueOf(section), "", all)
	return fmt.Sprint(all) // in the order of the keys
}

// keepsHistory says whether the site keeps a history, and for how long.
func (s *runningSite) keepsHistory() (keeps bool, keep time.Duration) {
	c := s.history.Load()
	return c != nil && c.Enabled, c.Keep
}

// statePatience is for how long a ticket that does not come to MySQL holds up a destination of states.
const statePatience = 15 * time.Minute

func (s *runningSite) viewOf(d *config.Destination, omit []string) func(context.Context, []ticket.Event) ([]ticket.Event, error) {
	filter := &couriers.Filter{
		Touched: s.touched, Types: d.Types, Fields: d.Fields, NotVia: d.NotVia, Omit: slices.Concat(d.Omit, omit),
	}
	if d.Of == config.OfStates {
		return (&couriers.States{Filter: filter, Rows: s.tickets.Rows, Patience: statePatience, Now: time.Now}).View
	}
	return filter.View
}

// publisherOf opens a destination.
func (s *runningSite) publisherOf(d *config.Destination) (feed.Publisher, error) {
	return openPublisher(s.name, d, cloudevent.NewEncoder(s.name, s.backend.Feed().Partitions() > 1, s.isInteger))
}

// OpenPublisher opens a destination for a check of it. An event would not know which fields are numbers.
func OpenPublisher(site string, d *config.Destination) (feed.Publisher, error) {
	return openPublisher(site, d, cloudevent.NewEncoder(site, false, func(string) bool { return false }))
}

func openPublisher(site string, d *config.Destination, encoder *cloudevent.Encoder) (feed.Publisher, error) {
	secured, err := d.TLSConfig()
	if err != nil {
		return nil, fmt.Errorf("tls: %w", err)
	}
	switch d.Kind {
	case config.KindWebhook:
		return webhook.New(webhook.Config{
			URL: d.URL.Reveal(), Secrets: d.Secrets(), Batch: d.Batch, Parallel: d.Parallel, Timeout: d.Timeout, TLS: secured,
			Encoder: encoder,
		})
	case config.KindAMQP:
		return amqp.New(amqp.Config{
			URL: d.URL.Reveal(), Exchange: d.Exchange, Declare: d.Declare, Routing: d.Routing, Unroutable: d.Unroutable,
			Timeout: d.Timeout, TLS: secured, Site: site, Encoder: encoder,
		})
	case config.KindKafka:
		return kafka.New(kafka.Config{
			Brokers: d.Brokers, Topic: d.Topic, Tombstones: d.Tombstones, SASL: d.SASL, Username: d.Username,
			Password: d.Password.Reveal(), Timeout: d.Timeout, TLS: secured, Site: site, Encoder: encoder,
		})
	default:
		return nats.New(nats.Config{
			URL: d.URL.Reveal(), Username: d.Username, Password: d.Password.Reveal(), CredentialsFile: d.CredentialsFile,
			Subject: d.Subject, Create: d.Create, Stream: d.Stream, Timeout: d.Timeout, TLS: secured, Site: site, Encoder: encoder,
		})
	}
}

// isInteger says whether a field is a number in the events: its column is.
func (s *runningSite) isInteger(name string) bool {
	d := s.database.Definition()
	return d != nil && d.IsInteger(name)
}

// touched is the field that each change of a ticket sets to its time; empty if the table has none.
func (s *runningSite) touched() string {
	if d := s.database.Definition(); d != nil {
		return d.UpdatedAt
	}
	return ""
}

// snapshotRows are the site's tickets as MySQL has them, by id. What is pending for MySQL follows in the feed, under higher
// revisions.
func (s *runningSite) snapshotRows(ctx context.Context, after ticket.ID, limit int) ([]ticket.Event, error) {
	page := &mysql.Page{Limit: limit}
	if after != 0 {
		page.After = &mysql.Mark{ID: after}
	}
	rows, _, err := s.tickets.List(ctx, &ticket.Selection{}, page)
	if err != nil {
		return nil, err
	}
	events := make([]ticket.Event, len(rows))
	now := time.Now()
	for i := range rows {
		events[i] = ticket.Event{
			Kind: ticket.EventSnapshot, Ticket: rows[i].ID, Revision: rows[i].Revision, Fields: rows[i].Fields, Complete: true,
			At: now, Recorded: now,
		}
	}
	return events, nil
}
