package amqp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/route"
)

// What becomes of an event that no queue wants.
const (
	// Hold pauses the destination until a queue is bound.
	Hold = "hold"
	// Drop counts the event as confirmed.
	Drop = "drop"
)

const (
	defaultExchange = "ticketd"
	defaultRouting  = "{site}.ticket.{type}"
	// defaultTimeout is how long the broker may take to accept a connection, a write, and to confirm events.
	defaultTimeout = 15 * time.Second
	// maxShort bounds exchanges and routing keys: AMQP's short strings.
	maxShort = 255
)

// Config is the configuration of a RabbitMQ destination.
type Config struct {
	// URL is amqps://user:password@host/vhost, or amqp:// without TLS.
	URL string
	// Exchange is the topic exchange; empty means "ticketd".
	Exchange string
	// Declare makes the exchange if it is missing.
	Declare bool
	// Routing is the template of routing keys; empty means "{site}.ticket.{type}".
	Routing string
	// Unroutable is [Hold] or [Drop]; empty means Hold.
	Unroutable string
	// Timeout bounds each wait for the broker; 0 means 15 s.
	Timeout time.Duration
	// TLS are options of TLS for amqps; nil means the system's CAs.
	TLS *tls.Config
	// Site fills {site} in.
	Site string
	// Encoder encodes the site's events.
	Encoder *cloudevent.Encoder
}

type publisher struct {
	config  Config
	server  amqp091.URI
	routing route.Template

	mu      sync.Mutex // held by one Publish, Probe or Close at a time
	session *session   // nil without a connection
}

var _ feed.Publisher = (*publisher)(nil)

// New makes a publisher. It opens no connection. An error begins with the name of the key that is wrong.
func New(config Config) (feed.Publisher, error) {
	p := &publisher{}
	var err error
	if p.server, err = amqp091.ParseURI(config.URL); err != nil {
		return nil, errors.New("url: must be like amqps://user:password@host/vhost") // the library's error repeats the password
	}
	if config.Exchange == "" {
		config.Exchange = defaultExchange
	}
	if config.Routing == "" {
		config.Routing = defaultRouting
	}
	if p.routing, err = route.Parse(config.Routing, config.Site, route.Site, route.Ticket, route.Type); err != nil {
		return nil, fmt.Errorf("routing: %w", err)
	}
	switch {
	case len(config.Exchange) > maxShort:
		return nil, fmt.Errorf("exchange: is longer than %d bytes", maxShort)
	case len(p.routing.String()) > maxShort-len("9223372036854775807restated"):
		return nil, errors.New("routing: is too long")
	case config.Unroutable == "":
		config.Unroutable = Hold
	case config.Unroutable != Hold && config.Unroutable != Drop:
		return nil, fmt.Errorf("unroutable: must be %q or %q", Hold, Drop)
	}
	switch {
	case config.Timeout < 0:
		return nil, errors.New("timeout: must be above zero")
	case config.Timeout == 0:
		config.Timeout = defaultTimeout
	}
	p.config = config
	return p, nil
}

// Ordered is false: the broker may refuse an event and confirm a later one.
func (p *publisher) Ordered() bool { return false }

// Probe says whether the broker accepts connections, the exchange is there, and no alarm blocks publishers.
func (p *publisher) Probe(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.session; s != nil && s.alarmed() && !s.conn.IsClosed() {
		return s.blocked()
	}
	_, err := p.open(ctx)
	return err
}

// Close closes the connection.
func (p *publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop(true)
	return nil
}

// drop gives the session up.
func (p *publisher) drop(answers bool) {
	if p.session != nil {
		p.session.close(answers)
		p.session = nil
	}
}
