package config

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/charset"
)

// Feed is the sequence of a site's changes as the store keeps it for the destinations.
type Feed struct {
	// Enabled switches the feed on without a destination, for readers of the store itself and for clients that read it. A site with
	// a destination or a history has a feed in any case.
	Enabled bool `toml:"enabled"`
	// MaxEvents and MaxBytes bound the events that wait for the slowest destination.
	MaxEvents int `toml:"max_events"`
	MaxBytes  int `toml:"max_bytes"`
	// Keep is for how long events stay that all destinations have.
	Keep time.Duration `toml:"keep"`
	// Omit are fields whose values leave ticketd to no destination.
	Omit []string `toml:"omit"`
}

// FeedDefaults returns a feed without any key set.
func FeedDefaults() Feed {
	return Feed{MaxEvents: 200_000, MaxBytes: 64 << 20, Omit: []string{}}
}

// History says whether ticketd keeps who changed which field of a ticket, when, and from what to what: a row for each change in
// {table}_history.
type History struct {
	Enabled bool `toml:"enabled"`
	// Keep is for how long a change stays in the history.
	Keep time.Duration `toml:"keep"`
	// Omit are fields whose changes are kept without values.
	Omit []string `toml:"omit"`
}

// Destination is where a site's events go.
type Destination struct {
	// Kind is webhook, amqp, kafka, nats or pull. The following keys are for all kinds but pull, whose clients choose for
	// themselves.
	Kind string `toml:"kind"`
	// Of is changes, or states: whole tickets, once MySQL has them.
	Of string `toml:"of"`
	// Types, if not empty, are the kinds of events that the destination gets; Fields selects updates that touch one of these
	// fields; NotVia leaves out the changes that came through these parts of clients; Omit are fields whose values are left out.
	Types  []string `toml:"types"`
	Fields []string `toml:"fields"`
	NotVia []string `toml:"not_via"`
	Omit   []string `toml:"omit"`
	// Timeout bounds a try; GiveUp is for how long a refused event is tried.
	Timeout time.Duration `toml:"timeout"`
	GiveUp  time.Duration `toml:"give_up"`

	// URL is the endpoint or the server, of the kinds webhook, amqp and nats; URLFile holds it instead.
	URL     Secret `toml:"url"`
	URLFile string `toml:"url_file"`
	// The server's certificate, and the destination's own, as for Redis.
	TLS           bool   `toml:"tls"`
	TLSCA         string `toml:"tls_ca"`
	TLSCert       string `toml:"tls_cert"`
	TLSKey        string `toml:"tls_key"`
	TLSServerName string `toml:"tls_server_name"`
	// Username and Password, of the kinds kafka and nats; PasswordFile holds the password instead.
	Username     string `toml:"username"`
	Password     Secret `toml:"password"`
	PasswordFile string `toml:"password_file"`
	// CredentialsFile holds a user's JWT and seed, of the kind nats, which reads it at each connection.
	CredentialsFile string `toml:"credentials_file"`

	// Secret signs requests, SecretFile holds it instead: a line for each secret. Batch is how many events a request carries, and
	// Parallel how many requests are under way. Of the kind webhook.
	Secret     Secret `toml:"secret"`
	SecretFile string `toml:"secret_file"`
	Batch      int    `toml:"batch"`
	Parallel   int    `toml:"parallel"`

	// Exchange, Declare, Routing and Unroutable are of the kind amqp.
	Exchange   string `toml:"exchange"`
	Declare    bool   `toml:"declare"`
	Routing    string `toml:"routing"`
	Unroutable string `toml:"unroutable"`

	// Brokers, Topic, SASL and Tombstones are of the kind kafka.
	Brokers    []string `toml:"brokers"`
	Topic      string   `toml:"topic"`
	SASL       string   `toml:"sasl"`
	Tombstones bool     `toml:"tombstones"`

	// Subject, Stream and Create are of the kind nats.
	Subject string `toml:"subject"`
	Stream  string `toml:"stream"`
	Create  bool   `toml:"create"`
}

// The kinds of destinations.
const (
	KindWebhook = "webhook"
	KindAMQP    = "amqp"
	KindKafka   = "kafka"
	KindNATS    = "nats"
	KindPull    = "pull"
)

// What a destination gets.
const (
	OfChanges = "changes"
	OfStates  = "states"
)

// HistoryDefaults returns a history without any key set.
func HistoryDefaults() History {
	return History{Keep: 180 * 24 * time.Hour, Omit: []string{}}
}

// DestinationDefaults returns a destination without any key set.
func DestinationDefaults() Destination {
	return Destination{
		Kind: KindWebhook, Of: OfChanges, Types: []string{}, Fields: []string{}, NotVia: []string{}, Omit: []string{},
		Timeout: 15 * time.Second, GiveUp: 72 * time.Hour, Batch: 1, Parallel: 4,
		Exchange: "ticketd", Declare: true, Routing: "{site}.ticket.{type}", Unroutable: "hold",
		Brokers: []string{}, Topic: "ticketd.{site}", Subject: "ticketd.{site}.{ticket}.{type}",
	}
}

// Follows says whether the site has a feed: something follows it.
func (s *Site) Follows() bool { return s.Feed.Enabled || s.History.Enabled || len(s.Feeds) > 0 }

// DestinationNames returns the names of the site's destinations, in order.
func (s *Site) DestinationNames() []string { return slices.Sorted(maps.Keys(s.Feeds)) }

// maxDestinationName bounds the names of destinations, in characters: the store's bound.
const maxDestinationName = 32

// historyName is the name of the history among the destinations.
const historyName = "history"

func (s *Site) validateFeeds(c *checks, key string) {
	const year = 365 * 24 * time.Hour
	c.number(key+"feed.max_events", s.Feed.MaxEvents, 1000, 100_000_000)
	c.number(key+"feed.max_bytes", s.Feed.MaxBytes, 1<<20, 1<<40)
	c.duration(key+"feed.keep", s.Feed.Keep, 0, 30*24*time.Hour)
	c.duration(key+"history.keep", s.History.Keep, time.Hour, 100*year)
	for _, name := range s.DestinationNames() {
		d := s.Feeds[name]
		at := key + "feeds." + name
		switch {
		case !charset.Only(name, maxDestinationName, charset.Letters+"_-"):
			c.failf(at, "the name of a destination is 1 to 32 letters, digits, - or _")
		case name == historyName:
			c.failf(at, "history is the name of the site's history; give the destination another name")
		}
		d.validate(c, at+".")
	}
}

func (d *Destination) validate(c *checks, key string) {
	c.oneOf(key+"kind", d.Kind, KindWebhook, KindAMQP, KindKafka, KindNATS, KindPull)
	c.oneOf(key+"of", d.Of, OfChanges, OfStates)
	types := []string{"created", "updated", "deleted", "restated", "dropped", "erased", "snapshot"}
	c.boundf(key+"types", "a list of %s", strings.Join(types, ", "))
	for _, name := range d.Types {
		if !slices.Contains(types, name) {
			c.failf(key+"types", "%q is none of %s", name, strings.Join(types, ", "))
		}
	}
	c.duration(key+"timeout", d.Timeout, 100*time.Millisecond, 10*time.Minute)
	c.duration(key+"give_up", d.GiveUp, time.Minute, 365*24*time.Hour)
	c.number(key+"batch", d.Batch, 1, 100)
	c.number(key+"parallel", d.Parallel, 1, 64)
	c.oneOf(key+"unroutable", d.Unroutable, "hold", "drop")
	c.boundf(key+"sasl", "plain, scram-sha-256, scram-sha-512, or empty")
	d.tls(key).validate(c)
	d.foreignKeys(c, key)
	switch d.Kind {
	case KindWebhook:
		d.validateWebhook(c, key)
	case KindAMQP:
		d.validateURL(c, key, "amqps://user:password@host/vhost", "amqp", "amqps")
	case KindKafka:
		d.validateKafka(c, key)
	case KindNATS:
		d.validateURL(c, key, "nats://host:4222 or tls://host:4222", "nats", "tls")
		if d.CredentialsFile != "" && d.Username != "" {
			c.failf(key+"credentials_file", "logs in by itself: leave username and password out")
		}
	}
}

// tls are the destination's keys for TLS. A certificate alone switches TLS on where the scheme of the URL says so already.
func (d *Destination) tls(section string) *tlsKeys {
	u, err := url.Parse(d.URL.Reveal())
	on := d.TLS || err == nil && slices.Contains([]string{"https", "amqps", "tls"}, u.Scheme)
	return &tlsKeys{section, on, d.TLSCA, d.TLSCert, d.TLSKey, d.TLSServerName}
}

// kindsOf are the keys that only some kinds have.
func (d *Destination) kindsOf() []struct {
	key   string
	set   bool
	kinds []string
} {
	def := DestinationDefaults()
	return []struct {
		key   string
		set   bool
		kinds []string
	}{
		{"url", d.URL != "", []string{KindWebhook, KindAMQP, KindNATS}},
		{"secret", d.Secret != "", []string{KindWebhook}},
		{"batch", d.Batch != def.Batch, []string{KindWebhook}},
		{"parallel", d.Parallel != def.Parallel, []string{KindWebhook}},
		{"exchange", d.Exchange != def.Exchange, []string{KindAMQP}},
		{"declare", d.Declare != def.Declare, []string{KindAMQP}},
		{"routing", d.Routing != def.Routing, []string{KindAMQP}},
		{"unroutable", d.Unroutable != def.Unroutable, []string{KindAMQP}},
		{"brokers", len(d.Brokers) > 0, []string{KindKafka}},
		{"topic", d.Topic != def.Topic, []string{KindKafka}},
		{"sasl", d.SASL != "", []string{KindKafka}},
		{"tombstones", d.Tombstones, []string{KindKafka}},
		{"tls", d.TLS, []string{KindKafka, KindNATS}},
		{"username", d.Username != "", []string{KindKafka, KindNATS}},
		{"password", d.Password != "", []string{KindKafka, KindNATS}},
		{"credentials_file", d.CredentialsFile != "", []string{KindNATS}},
		{"subject", d.Subject != def.Subject, []string{KindNATS}},
		{"stream", d.Stream != "", []string{KindNATS}},
		{"create", d.Create, []string{KindNATS}},
		{"of", d.Of != def.Of, []string{KindWebhook, KindAMQP, KindKafka, KindNATS}},
		{"types", len(d.Types) > 0, []string{KindWebhook, KindAMQP, KindKafka, KindNATS}},
		{"fields", len(d.Fields) > 0, []string{KindWebhook, KindAMQP, KindKafka, KindNATS}},
		{"not_via", len(d.NotVia) > 0, []string{KindWebhook, KindAMQP, KindKafka, KindNATS}},
		{"omit", len(d.Omit) > 0, []string{KindWebhook, KindAMQP, KindKafka, KindNATS}},
	}
}

// foreignKeys refuses keys that have no effect for the destination's kind.
func (d *Destination) foreignKeys(c *checks, key string) {
	for _, k := range d.kindsOf() {
		if k.set && !slices.Contains(k.kinds, d.Kind) {
			c.failf(key+k.key, "has no effect for kind = %q: it is for %s", d.Kind, strings.Join(k.kinds, ", "))
		}
	}
	if d.Tombstones && d.Of != OfStates {
		c.failf(key+"tombstones", `needs of = "states"`)
	}
}

// validateURL checks the URL, which may contain a password and is not repeated.
func (d *Destination) validateURL(c *checks, key, form string, schemes ...string) *url.URL {
	u, err := url.Parse(d.URL.Reveal())
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		c.failf(key+"url", "is missing, or is not like %s", form)
		return nil
	}
	return u
}

func (d *Destination) validateWebhook(c *checks, key string) {
	u := d.validateURL(c, key, "https://host/path", "http", "https")
	if u != nil && u.Scheme == "http" && !loopback(u.Hostname()) {
		c.failf(key+"url", "is not encrypted, and the endpoint is not on this host: write https")
	}
	if u != nil && u.User != nil {
		c.failf(key+"url", "has a user or a password, which receivers would find in their logs: requests are signed with secret")
	}
	if d.Secret == "" {
		c.failf(key+"secret", "is missing: 'ticketd feed secret' makes a secret; give it in secret_file")
		return
	}
	for i, secret := range d.Secrets() {
		if err := checkSecret(secret); err != nil {
			c.failf(key+"secret", "line %d: %v", i+1, err)
		}
	}
	const most = 2
	if n := len(d.Secrets()); n > most {
		c.failf(key+"secret", "has %d lines: the secret, and the old secret while receivers change over", n)
	}
}

// Secrets are the lines of Secret.
func (d *Destination) Secrets() []string { return strings.Fields(d.Secret.Reveal()) }

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

func (d *Destination) validateKafka(c *checks, key string) {
	if len(d.Brokers) == 0 {
		c.failf(key+"brokers", "is empty; name some brokers as host:port")
	}
	c.hostPorts(key+"brokers", d.Brokers)
	if d.Topic == "" {
		c.failf(key+"topic", "is empty; name the topic")
	}
	sasl := []string{"", "plain", "scram-sha-256", "scram-sha-512"}
	if !slices.Contains(sasl, d.SASL) {
		c.failf(key+"sasl", "%q is none of %s", d.SASL, strings.Join(sasl[1:], ", "))
	}
	if d.SASL != "" && (d.Username == "" || d.Password == "") {
		c.failf(key+"sasl", "needs username, and password or password_file")
	}
	if d.SASL == "" && d.Username != "" {
		c.failf(key+"username", "needs sasl")
	}
	if d.SASL == "plain" && !d.TLS {
		c.failf(key+"sasl", "plain sends the password as it is: set tls = true, or use scram-sha-512")
	}
}

// checkSecret refuses a signing secret that receivers would read differently: Standard Webhooks knows the form whsec_ and base64
// of 24 to 64 bytes alone.
func checkSecret(secret string) error {
	const prefix, least, most = "whsec_", 24, 64
	text, has := strings.CutPrefix(secret, prefix)
	if !has {
		return fmt.Errorf("a secret begins with %s: 'ticketd feed secret' makes one", prefix)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return fmt.Errorf("behind %s is base64 alone: 'ticketd feed secret' makes a secret", prefix)
	}
	if len(key) < least || len(key) > most {
		return fmt.Errorf("a secret has %d to %d bytes behind %s, not %d", least, most, prefix, len(key))
	}
	return nil
}
