package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/ticketd/ticketd/internal/charset"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/route"
)

const (
	defaultTopic = "ticketd.{site}"
	// defaultTimeout is how long the brokers may take to answer.
	defaultTimeout = 15 * time.Second
)

// maxTopic is how long a topic may be for Kafka.
const maxTopic = 249

// Config is the configuration of a Kafka destination.
type Config struct {
	// Brokers are addresses, host:port, of some of the cluster's brokers.
	Brokers []string
	// Topic is the template of the topic's name; empty means "ticketd.{site}". The topic has to exist.
	Topic string
	// Tombstones says that a deleted ticket's event is followed by a record without a value.
	Tombstones bool
	// SASL is "plain", "scram-sha-256" or "scram-sha-512"; empty means no login.
	SASL string
	// Username and Password are for SASL.
	Username, Password string
	// Timeout bounds each wait for the brokers; 0 means 15 s.
	Timeout time.Duration
	// TLS are options of TLS; nil means no TLS.
	TLS *tls.Config
	// Site fills {site} in.
	Site string
	// Encoder encodes the site's events.
	Encoder *cloudevent.Encoder
}

type publisher struct {
	config Config
	topic  string
	login  sasl.Mechanism // nil without

	mu     sync.Mutex  // held by one Publish, Probe or Close at a time
	client *kgo.Client // nil without a session
}

var _ feed.Publisher = (*publisher)(nil)

// New makes a publisher. It opens no connection. An error begins with the name of the key that is wrong.
func New(config Config) (feed.Publisher, error) {
	p := &publisher{}
	if len(config.Brokers) == 0 {
		return nil, errors.New("brokers: needs the address of a broker, like 10.0.0.9:9092")
	}
	for _, broker := range config.Brokers {
		if host, port, err := net.SplitHostPort(broker); err != nil || host == "" || port == "" {
			return nil, fmt.Errorf("brokers: %q is no address like 10.0.0.9:9092", broker)
		}
	}
	if config.Topic == "" {
		config.Topic = defaultTopic
	}
	topic, err := route.Parse(config.Topic, config.Site, route.Site)
	if err == nil && !charset.Only(topic.String(), maxTopic, charset.Letters+"._-") {
		err = errors.New("may have letters, digits, dots, underscores and hyphens, 249 at most")
	}
	if err != nil {
		return nil, fmt.Errorf("topic: %w", err)
	}
	p.topic = topic.String()
	if p.login, err = login(config); err != nil {
		return nil, err
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

func login(config Config) (sasl.Mechanism, error) {
	if config.SASL != "" && (config.Username == "" || config.Password == "") {
		return nil, errors.New("sasl: needs username and password, too")
	}
	switch config.SASL {
	case "plain":
		return plain.Auth{User: config.Username, Pass: config.Password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: config.Username, Pass: config.Password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: config.Username, Pass: config.Password}.AsSha512Mechanism(), nil
	case "":
		if config.Username != "" || config.Password != "" {
			return nil, errors.New("sasl: is missing, but there is a username or a password")
		}
		return nil, nil //nolint:nilnil // nil means no login
	default:
		return nil, errors.New(`sasl: must be "plain", "scram-sha-256" or "scram-sha-512"`)
	}
}

// Ordered is false: see the package.
func (p *publisher) Ordered() bool { return false }

// Probe says whether the brokers answer, accept the login and have the topic.
func (p *publisher) Probe(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop() // a client keeps what it knows of a topic
	_, err := p.open(ctx)
	return err
}

// Close closes the connections.
func (p *publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	return nil
}

// drop gives the session up: what is buffered is forgotten.
func (p *publisher) drop() {
	if p.client != nil {
		p.client.Close()
		p.client = nil
	}
}
