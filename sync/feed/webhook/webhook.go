package webhook

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
)

const (
	// defaultTimeout is how long a request may take, from the connection to the status.
	defaultTimeout = 15 * time.Second

	// defaultParallel and maxParallel are requests under way at once.
	defaultParallel, maxParallel = 4, 64

	// maxBatch bounds the events of a request, maxBatchBytes its body.
	maxBatch, maxBatchBytes = 100, 1 << 20

	// idleTimeout closes an unused connection before most servers and proxies do.
	idleTimeout = 30 * time.Second
)

// Config is the configuration of a webhook.
type Config struct {
	// URL is the endpoint: https, or http on this host.
	URL string
	// Secrets are the signing secret, and the old secret while receivers change over.
	Secrets []string
	// Batch is how many events a request carries; 0 and 1 mean one, outside an array.
	Batch int
	// Parallel bounds the requests under way at once; 0 means 4.
	Parallel int
	// Timeout bounds a request; 0 means 15 s.
	Timeout time.Duration
	// TLS are options of TLS; nil means the system's CAs.
	TLS *tls.Config
	// Encoder encodes the site's events.
	Encoder *cloudevent.Encoder
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

type publisher struct {
	config    Config
	host      string // for messages: the rest of a URL may hold a secret
	signer    signer
	client    *http.Client
	transport *http.Transport
	gone      atomic.Bool // the endpoint's last answer was 410
}

var _ feed.Publisher = (*publisher)(nil)

// New makes a publisher. It opens no connection. An error begins with the name of the key that is wrong.
func New(config Config) (feed.Publisher, error) {
	endpoint, err := parseURL(config.URL)
	if err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	p := &publisher{host: endpoint.Host}
	if p.signer, err = newSigner(config.Secrets); err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	for _, bound := range []struct {
		key          string
		value        *int
		unset, limit int
	}{{"batch", &config.Batch, 1, maxBatch}, {"parallel", &config.Parallel, defaultParallel, maxParallel}} {
		if *bound.value == 0 {
			*bound.value = bound.unset
		}
		if *bound.value < 1 || *bound.value > bound.limit {
			return nil, fmt.Errorf("%s: must be from 1 to %d", bound.key, bound.limit)
		}
	}
	switch {
	case config.Timeout < 0:
		return nil, errors.New("timeout: must be above zero")
	case config.Timeout == 0:
		config.Timeout = defaultTimeout
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	p.config = config
	p.transport = &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: secure(config.TLS), ForceAttemptHTTP2: true,
		MaxConnsPerHost: config.Parallel, MaxIdleConnsPerHost: config.Parallel, IdleConnTimeout: idleTimeout,
		DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
	p.client = &http.Client{
		Transport:     p.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return p, nil
}

// parseURL reads an endpoint. Its errors do not repeat the URL, which may hold a secret.
func parseURL(text string) (*url.URL, error) {
	endpoint, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("is missing")
	case err != nil || endpoint.Host == "" || endpoint.Opaque != "":
		return nil, errors.New("is no URL like https://crm.example/hooks/tickets")
	case endpoint.Fragment != "":
		return nil, errors.New("has a #fragment, which HTTP does not send")
	case endpoint.Scheme == "https", endpoint.Scheme == "http" && loopback(endpoint.Hostname()):
		return endpoint, nil
	}
	return nil, errors.New("must begin with https://; http:// is for this host alone (localhost, 127.0.0.1, [::1])")
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// secure returns options of TLS of which TLS 1.2 is the oldest version.
func secure(config *tls.Config) *tls.Config {
	if config == nil {
		return &tls.Config{MinVersion: tls.VersionTLS12}
	}
	config = config.Clone()
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	return config
}

// Ordered is false: requests run in parallel.
func (p *publisher) Ordered() bool { return false }

func (p *publisher) Close() error {
	p.transport.CloseIdleConnections()
	return nil
}

func userAgent() string { return "ticketd/" + version.String() }
