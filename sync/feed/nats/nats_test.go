package nats_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/feedtest"
	"github.com/ticketd/ticketd/sync/feed/nats"
)

func publisher(t *testing.T, url string, edit func(c *nats.Config)) feed.Publisher {
	t.Helper()
	config := nats.Config{URL: url, Site: "main", Encoder: cloudevent.NewEncoder("main", false, nil)}
	if edit != nil {
		edit(&config)
	}
	return feedtest.Open(t, func() (feed.Publisher, error) { return nats.New(config) })
}

func creates(c *nats.Config) { c.Create = true }

// admin does something with a connection of its own.
func admin(t *testing.T, url string, do func(ctx context.Context, js jetstream.JetStream) error) {
	t.Helper()
	conn, err := natsgo.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		conn.Close()
	}()
	js, err := jetstream.New(conn)
	if err == nil {
		err = do(t.Context(), js)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// stored is how many messages the stream has.
func stored(t *testing.T, url string) (n uint64) {
	t.Helper()
	admin(t, url, func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, "ticketd-main")
		if err == nil {
			n = stream.CachedInfo().State.Msgs
		}
		return err
	})
	return n
}

// The message on the wire, read without a library.
func TestMessage(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t)
	p := publisher(t, server.URL(), creates)
	if err := p.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const subscribe = "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB ticketd.main.> 1\r\nPING\r\n"
	if _, err := io.WriteString(conn, subscribe); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(conn)
	line := func() string {
		text, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return strings.TrimSuffix(text, "\r\n")
	}
	for subscribed := false; !subscribed; {
		subscribed = line() == "PONG"
	}
	events := feedtest.Wave(1, 7)
	feedtest.WantAll(t, p.Publish(t.Context(), events), 1, feed.Confirmed)
	var subject, reply string
	var headers, total int
	if _, err := fmt.Sscanf(line(), "HMSG %s 1 %s %d %d", &subject, &reply, &headers, &total); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, total)
	if _, err := io.ReadFull(lines, message); err != nil {
		t.Fatal(err)
	}
	if subject != "ticketd.main.1.updated" {
		t.Errorf("the subject is %s", subject)
	}
	for _, header := range []string{"Nats-Msg-Id: main/1-7\r\n", "Content-Type: application/cloudevents+json; charset=utf-8\r\n"} {
		if !strings.Contains(string(message[:headers]), header) {
			t.Errorf("the headers %q lack %q", message[:headers], header)
		}
	}
	if want := cloudevent.NewEncoder("main", false, nil).Encode(&events[0]); string(message[headers:]) != string(want) {
		t.Errorf("the payload is %s, not %s", message[headers:], want)
	}
}

// Without a stream, a plain publish would be gone.
func TestNoStream(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t)
	p := publisher(t, server.URL(), nil)
	feedtest.WantReason(t, p.Publish(t.Context(), feedtest.Wave(3, 1))[2], feed.Paused, `"ticketd.main.3.updated"`)
	if err := p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), `"ticketd.main.*.*"`) {
		t.Errorf("the probe says %v", err)
	}
	feedtest.WantAll(t, publisher(t, server.URL(), creates).Publish(t.Context(), feedtest.Wave(600, 1)), 600, feed.Confirmed)
	if err := p.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(600, 2)), 600, feed.Confirmed)
	if n := stored(t, server.URL()); n != 1200 {
		t.Errorf("the stream has %d messages", n)
	}
	other := publisher(t, server.URL(), func(c *nats.Config) { c.Stream = "another" })
	feedtest.WantReason(t, other.Publish(t.Context(), feedtest.Wave(1, 3))[0], feed.Paused, "expected stream does not match")
	admin(t, server.URL(), func(ctx context.Context, js jetstream.JetStream) error {
		stream, err := js.Stream(ctx, "ticketd-main")
		if err == nil && stream.CachedInfo().Config.Duplicates != 10*time.Minute {
			t.Errorf("the stream remembers ids for %s", stream.CachedInfo().Config.Duplicates)
		}
		return err
	})
}

// A stream that is full and takes nothing new: the events wait, none is lost.
func TestFullStream(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t)
	config := jetstream.StreamConfig{
		Name: "ticketd-main", Subjects: []string{"ticketd.main.>"}, MaxBytes: 1000, Discard: jetstream.DiscardNew,
	}
	admin(t, server.URL(), func(ctx context.Context, js jetstream.JetStream) error {
		_, err := js.CreateStream(ctx, config)
		return err
	})
	p := publisher(t, server.URL(), nil)
	verdicts := p.Publish(t.Context(), feedtest.Wave(5, 1))
	feedtest.WantAll(t, verdicts[:1], 1, feed.Confirmed)
	feedtest.WantReason(t, verdicts[4], feed.Later, "maximum bytes exceeded")
	admin(t, server.URL(), func(ctx context.Context, js jetstream.JetStream) error {
		config.MaxBytes = 100_000
		_, err := js.UpdateStream(ctx, config)
		return err
	})
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(5, 1)), 5, feed.Confirmed)
	if n := stored(t, server.URL()); n != 5 {
		t.Errorf("the stream has %d messages", n)
	}
}

// Acknowledgements that are lost: what is published again is there once, and the answer "duplicate" confirms it.
func TestLostAcknowledgements(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t)
	direct := publisher(t, server.URL(), creates)
	feedtest.WantAll(t, direct.Publish(t.Context(), feedtest.Wave(20, 1)), 20, feed.Confirmed)
	p := publisher(t, server.URL(), func(c *nats.Config) { c.Timeout = 300 * time.Millisecond })
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(20, 2)), 20, feed.Confirmed)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	feedtest.WantReason(t, p.Publish(t.Context(), feedtest.Wave(20, 3))[19], feed.Later, "no acknowledgement within 300ms")
	fresh := publisher(t, server.URL(), func(c *nats.Config) { c.Timeout = 300 * time.Millisecond })
	feedtest.WantReason(t, fresh.Publish(t.Context(), feedtest.Wave(1, 3))[0], feed.Later, "no answer within 300ms")
	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the daemon stops"))
	feedtest.WantReason(t, fresh.Publish(ended, feedtest.Wave(1, 3))[0], feed.Later, "the daemon stops")
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	// What was sent before the pause is still in the server's socket, and comes in.
	testenv.Eventually(t, 10*time.Second, "the stream has what had no answer", func() bool { return stored(t, server.URL()) == 60 })
	for range 2 {
		feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(20, 3)), 20, feed.Confirmed)
	}
	if n := stored(t, server.URL()); n != 60 {
		t.Errorf("the stream has %d messages, not 60", n)
	}
}

func TestServerKilled(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t)
	p := publisher(t, server.URL(), creates)
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(50, 1)), 50, feed.Confirmed)
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	answers := make(chan []feed.Verdict)
	go func() { answers <- p.Publish(context.Background(), feedtest.Wave(50, 2)) }()
	server.Kill()
	feedtest.WantAll(t, <-answers, 50, feed.Later)
	feedtest.WantReason(t, p.Publish(t.Context(), feedtest.Wave(1, 2))[0], feed.Later, "connection")
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(50, 2)), 50, feed.Confirmed)
	if n := stored(t, server.URL()); n != 100 {
		t.Errorf("the stream has %d messages, not 100", n)
	}
}

// An event that is too long for the server does not hold up the others.
func TestTooLong(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t, "max_payload: 4KB")
	events := feedtest.Wave(3, 1)
	events[1].Fields[0].Value = ticket.Text(strings.Repeat("x", 5000))
	verdicts := publisher(t, server.URL(), creates).Publish(t.Context(), events)
	feedtest.WantReason(t, verdicts[1], feed.Refused, "maximum payload")
	feedtest.WantAll(t, []feed.Verdict{verdicts[0], verdicts[2]}, 2, feed.Confirmed)
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	server := testenv.NewNATS(t, `authorization { users: [
		{user: "ticketd", password: "right"}
		{user: "reader", password: "right", permissions: {publish: {deny: "ticketd.>"}}}
	] }`)
	login := func(user, password string) string {
		return strings.Replace(server.URL(), "nats://", "nats://"+user+":"+password+"@", 1)
	}
	writer := publisher(t, login("ticketd", "right"), creates)
	feedtest.WantAll(t, writer.Publish(t.Context(), feedtest.Wave(1, 1)), 1, feed.Confirmed)
	reader := publisher(t, server.URL(), func(c *nats.Config) { c.Username, c.Password = "reader", "right" })
	feedtest.WantReason(t, reader.Publish(t.Context(), feedtest.Wave(2, 1))[1], feed.Paused, "ermissions")
	verdict := publisher(t, login("ticketd", "s3cret"), nil).Publish(t.Context(), feedtest.Wave(1, 1))[0]
	feedtest.WantReason(t, verdict, feed.Paused, "Authorization")
	if strings.Contains(verdict.Err.Error(), "s3cret") {
		t.Errorf("the error shows the password: %v", verdict.Err)
	}
}

func TestConfigurationRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		edit func(c *nats.Config)
	}{
		{"url", func(c *nats.Config) { c.URL = "" }},
		{"url", func(c *nats.Config) { c.URL = "user:s3cret@10.0.0.10:4222" }},
		{"url", func(c *nats.Config) { c.URL += ",http://user:s3cret@10.0.0.11" }},
		{"subject", func(c *nats.Config) { c.Subject = "ticketd.>" }},
		{"subject", func(c *nats.Config) { c.Subject = "ticketd..{ticket}" }},
		{"subject", func(c *nats.Config) { c.Subject = "ticketd.t{ticket}" }},
		{"subject", func(c *nats.Config) { c.Subject = "tickets of {site}" }},
		{"subject", func(c *nats.Config) { c.Subject = "$JS.API" }},
		{"username", func(c *nats.Config) { c.Password = "s3cret" }},
		{"stream", func(c *nats.Config) { c.Create, c.Stream = true, "a.b" }},
		{"timeout", func(c *nats.Config) { c.Timeout = -1 }},
	} {
		config := nats.Config{URL: "tls://user:s3cret@10.0.0.10:4222", Site: "main"}
		c.edit(&config)
		_, err := nats.New(config)
		if err == nil || !strings.HasPrefix(err.Error(), c.key+": ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
