package nats

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/ticketd/ticketd/internal/charset"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/route"
)

const (
	defaultSubject = "ticketd.{site}.{ticket}.{type}"
	// defaultTimeout is how long the server may take to accept a connection and to answer.
	defaultTimeout = 15 * time.Second
)

// maxStream is how long a stream's name may be; token are the characters of a subject's parts and of streams.
const (
	maxStream = 255
	token     = charset.Letters + "_-"
)

// isSubjectPart says whether a text is a part of a subject: a placeholder for the ticket or the type is a whole part, so that
// consumers and the stream can have a wildcard in its place.
func isSubjectPart(text string) bool {
	return text == "{ticket}" || text == "{type}" || charset.Only(text, len(text), token)
}

// Config is the configuration of a NATS destination.
type Config struct {
	// URL is tls://host:4222, or nats:// without TLS, with user:password@ or token@ where needed; several are separated by commas.
	URL string
	// Username and Password log in, unless the URL does; CredentialsFile is a file of NATS credentials (.creds). Empty means none.
	Username, Password string
	CredentialsFile    string
	// Subject is the template of subjects; empty means "ticketd.{site}.{ticket}.{type}".
	Subject string
	// Create makes the stream if it is missing.
	Create bool
	// Stream is the stream that has to take the events; empty means any. Create makes "ticketd-" and the site then.
	Stream string
	// Timeout bounds each wait for the server; 0 means 15 s.
	Timeout time.Duration
	// TLS are options of TLS; nil means the system's CAs for tls://.
	TLS *tls.Config
	// Site fills {site} in.
	Site string
	// Encoder encodes the site's events.
	Encoder *cloudevent.Encoder
}

type publisher struct {
	config  Config
	subject route.Template

	mu      sync.Mutex // held by one Publish, Probe or Close at a time
	session *session   // nil without a connection
}

var _ feed.Publisher = (*publisher)(nil)

// New makes a publisher. It opens no connection. An error begins with the name of the key that is wrong.
func New(config Config) (feed.Publisher, error) {
	if err := checkURL(config.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	p := &publisher{}
	if config.Subject == "" {
		config.Subject = defaultSubject
	}
	var err error
	if p.subject, err = route.Parse(config.Subject, config.Site, route.Site, route.Ticket, route.Type); err != nil {
		return nil, fmt.Errorf("subject: %w", err)
	}
	for part := range strings.SplitSeq(p.subject.String(), ".") {
		if !isSubjectPart(part) {
			return nil, errors.New("subject: must be parts of letters, digits, _ and - with dots between; " +
				"{ticket} and {type} are whole parts")
		}
	}
	if config.Stream == "" && config.Create {
		config.Stream = "ticketd-" + config.Site
	}
	if config.Stream != "" && !charset.Only(config.Stream, maxStream, token) {
		return nil, errors.New("stream: may have letters, digits, _ and -")
	}
	if config.Password != "" && config.Username == "" {
		return nil, errors.New("username: is missing, but there is a password")
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

// checkURL checks addresses. Its errors do not repeat them, as they may hold a password.
func checkURL(text string) error {
	for server := range strings.SplitSeq(text, ",") {
		u, err := url.Parse(strings.TrimSpace(server))
		if err != nil || u.Host == "" || u.Scheme != "nats" && u.Scheme != "tls" {
			return errors.New("must be like tls://10.0.0.10:4222 or nats://127.0.0.1:4222; several are separated by commas")
		}
	}
	return nil
}

// Ordered is false: see the package.
func (p *publisher) Ordered() bool { return false }

// Probe says whether the server answers, accepts the login and has a stream for the subjects. Where the user may not ask for
// streams, the next event shows that.
func (p *publisher) Probe(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.Timeout)
	defer cancel()
	_, err = s.stream.StreamNameBySubject(ctx, p.pattern())
	if errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		return p.noStream(p.pattern())
	}
	return nil
}

// Close closes the connection.
func (p *publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.drop()
	return nil
}

// drop gives the session up.
func (p *publisher) drop() {
	if p.session != nil {
		p.session.close()
		p.session = nil
	}
}

// pattern is the subject of all events.
func (p *publisher) pattern() string {
	return strings.NewReplacer(route.Ticket, "*", route.Type, "*").Replace(p.subject.String())
}

// noStreamError says that no stream stores what is published.
type noStreamError struct{ subject string }

func (e *noStreamError) Error() string {
	return fmt.Sprintf("no stream has the subject %q, or JetStream is off", e.subject)
}

func (p *publisher) noStream(subject string) error { return &noStreamError{subject: subject} }
