package chaos

import (
	"context"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// feedConfig is TOML of a site's feed and history, behind the site's other keys. Events stay for the whole run, so that a
// consumer never has to be told of a gap.
const feedConfig = "[sites.main.feed]\nenabled = true\nkeep = \"1h\"\n[sites.main.history]\nenabled = true\n"

// consumer follows a site's feed over the socket and records the events. The consumer keeps its place itself, and goes on through
// another host if a daemon does not answer.
type consumer struct {
	site   *site
	places []string
	at     int // which host
	events []history.Event

	end  context.CancelFunc
	done chan struct{}
}

const (
	// consumerWait is how long a feed_read waits for events.
	consumerWait = time.Second
	// consumerPause is the pause after a daemon that did not answer.
	consumerPause = 50 * time.Millisecond
	// keptWithin is how long the tickets' history may take behind the feed: a courier waits out a lease of another daemon.
	keptWithin = time.Minute
)

// newConsumer makes a consumer whose place is before the first change.
func newConsumer(t *testing.T, s *site) *consumer {
	t.Helper()
	c := &consumer{site: s, done: make(chan struct{})}
	ctx, cancel := context.WithTimeout(t.Context(), settleStep)
	defer cancel()
	if err := testenv.Until(ctx, func() error { _, err := c.read(ctx, 0); return err }); err != nil {
		t.Fatalf("%s: the feed does not answer before the first fault: %v", s.name, err)
	}
	return c
}

// start reads in the background.
func (c *consumer) start(ctx context.Context) {
	reading, end := context.WithCancel(ctx)
	c.end = end
	go func() {
		defer close(c.done)
		for reading.Err() == nil {
			if _, err := c.read(reading, consumerWait); err != nil {
				c.at++
				select {
				case <-reading.Done():
				case <-time.After(consumerPause):
				}
			}
		}
	}()
}

// read reads once, over a connection of its own: the daemons end, and their hosts take turns.
func (c *consumer) read(ctx context.Context, wait time.Duration) (events int, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout+wait)
	defer cancel()
	client, err := protocol.Dial(ctx, c.site.hosts[c.at%len(c.site.hosts)].socket)
	if err != nil {
		return 0, err
	}
	defer func() { _ = client.Close() }()
	result, err := client.FeedRead(ctx, protocol.FeedReadParams{After: c.places, Limit: protocol.MaxTickets, Wait: wait})
	if err != nil {
		return 0, err
	}
	seen := c.site.rec.now()
	for i := range result.Events {
		c.events = append(c.events, history.EventOf(&result.Events[i], seen))
	}
	c.places = result.Next
	return len(result.Events), nil
}

// settled ends the consumer at the feed's end, and returns what the feed has told and what the tickets' history has kept.
func (c *consumer) settled(t *testing.T) *history.Feed {
	t.Helper()
	c.end()
	<-c.done
	ctx, cancel := context.WithTimeout(t.Context(), settleWithin)
	defer cancel()
	err := testenv.Until(ctx, func() error {
		for {
			if n, err := c.read(ctx, 0); n == 0 || err != nil {
				return err
			}
		}
	})
	if err != nil {
		t.Errorf("%s: the feed is not read to its end within %v of the last fault: %v", c.site.name, settleWithin, err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), keptWithin)
	defer cancel()
	feed := &history.Feed{Events: c.events}
	if err := testenv.Until(ctx, func() error { return feed.ReadKept(ctx, c.site.db, c.site.table) }); err != nil {
		t.Logf("%s: %v", c.site.name, err) // the rules say what is missing
	}
	return feed
}
