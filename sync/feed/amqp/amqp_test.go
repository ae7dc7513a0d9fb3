package amqp_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/amqp"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/feedtest"
)

const queue = "everything"

// broker is a RabbitMQ with a connection for the test's own wishes.
type broker struct {
	*testenv.RabbitMQ
}

// admin does something with a channel of its own connection.
func (b *broker) admin(t *testing.T, do func(ch *amqp091.Channel) error) {
	t.Helper()
	conn, err := amqp091.Dial(b.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ch, err := conn.Channel()
	if err == nil {
		err = do(ch)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// bind makes the queue and binds it to the routing keys of the pattern.
func (b *broker) bind(t *testing.T, name, pattern string, args amqp091.Table) {
	t.Helper()
	b.admin(t, func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(name, true, false, false, false, args)
		return errors.Join(err, ch.QueueBind(name, pattern, "ticketd", false, nil))
	})
}

// own makes a queue for the events of a site: what a part leaves in a socket arrives at some time, and not in another part.
func (b *broker) own(t *testing.T, site string) {
	t.Helper()
	b.bind(t, site, site+".ticket.*", nil)
}

// consume takes n events out of the queue with amqp-consume, which shares no code with the publisher.
func (b *broker) consume(t *testing.T, queue string, n int) []event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "amqp-consume", "--url="+b.URL(), "--queue="+queue, "--count="+strconv.Itoa(n), "cat")
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("amqp-consume: %v: %s", err, &complaint)
	}
	var events []event
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var e event
		if err := decoder.Decode(&e); errors.Is(err, io.EOF) {
			return events
		} else if err != nil {
			t.Fatal(err)
		}
		events = append(events, e)
	}
}

// event is what the test reads of an event.
type event struct {
	ID      string `json:"id"`
	Subject string `json:"subject"`
	Data    struct {
		Revision int64 `json:"revision"`
	} `json:"data"`
}

func (b *broker) publisher(t *testing.T, edit func(c *amqp.Config)) feed.Publisher {
	t.Helper()
	config := amqp.Config{URL: b.URL(), Declare: true, Site: "main", Encoder: cloudevent.NewEncoder("main", false, nil)}
	if edit != nil {
		edit(&config)
	}
	return feedtest.Open(t, func() (feed.Publisher, error) { return amqp.New(config) })
}

// long is a change of each of n tickets, together more than sockets hold.
func long(n int) []ticket.Event {
	events, text := feedtest.Wave(n, 2), ticket.Text(strings.Repeat("x", 4<<10))
	for i := range events {
		for f := range 15 {
			events[i].Fields = append(events[i].Fields, ticket.Field{Name: fmt.Sprintf("f%d", f), Value: text})
		}
	}
	return events
}

// The parts share a server, which takes seconds to start, and follow each other: some of them stop it.
//
//nolint:paralleltest // see above
func TestRabbitMQ(t *testing.T) {
	b := &broker{RabbitMQ: testenv.NewRabbitMQ(t)}
	for _, part := range []struct {
		name string
		test func(t *testing.T, b *broker)
	}{
		{"unroutable", testUnroutable},
		{"message", testMessage},
		{"many", testMany},
		{"nack", testNack},
		{"exchange deleted", testExchangeDeleted},
		{"refused login", testRefusedLogin},
		{"alarm", testAlarm},
		{"silent broker", testSilentBroker},
		{"killed", testKilled},
	} {
		if !t.Run(part.name, func(t *testing.T) { part.test(t, b) }) {
			break
		}
	}
}

// Without mandatory, an exchange without a queue confirms what it throws away.
func testUnroutable(t *testing.T, b *broker) {
	p := b.publisher(t, nil)
	if err := p.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	verdicts := p.Publish(t.Context(), feedtest.Wave(3, 1))
	feedtest.WantAll(t, verdicts, 3, feed.Paused)
	feedtest.WantReason(t, verdicts[0], feed.Paused, `for the routing key "main.ticket.updated"`)
	dropping := b.publisher(t, func(c *amqp.Config) { c.Unroutable = amqp.Drop })
	feedtest.WantAll(t, dropping.Publish(t.Context(), feedtest.Wave(3, 1)), 3, feed.Confirmed)

	b.bind(t, queue, "main.ticket.*", nil)
	mixed := feedtest.Wave(3, 1)
	mixed[1].Kind = ticket.EventDeleted
	b.admin(t, func(ch *amqp091.Channel) error {
		return errors.Join(ch.QueueUnbind(queue, "main.ticket.*", "ticketd", nil),
			ch.QueueBind(queue, "main.ticket.updated", "ticketd", false, nil))
	})
	verdicts = p.Publish(t.Context(), mixed)
	feedtest.WantReason(t, verdicts[1], feed.Paused, `"main.ticket.deleted"`)
	feedtest.WantAll(t, []feed.Verdict{verdicts[0], verdicts[2]}, 2, feed.Confirmed)
	if got := b.consume(t, queue, 2); got[0].Subject != "1" || got[1].Subject != "3" {
		t.Errorf("the queue has %+v", got)
	}
	b.bind(t, queue, "main.ticket.*", nil)
}

func testMessage(t *testing.T, b *broker) {
	sent := feedtest.Wave(1, 7)
	feedtest.WantAll(t, b.publisher(t, nil).Publish(t.Context(), sent), 1, feed.Confirmed)
	var got amqp091.Delivery
	b.admin(t, func(ch *amqp091.Channel) error {
		var err error
		got, _, err = ch.Get(queue, true)
		return err
	})
	want := cloudevent.NewEncoder("main", false, nil).Encode(&sent[0])
	if string(got.Body) != string(want) || got.MessageId != "1-7" || got.DeliveryMode != amqp091.Persistent ||
		got.ContentType != cloudevent.ContentType || got.Type != "com.github.ticketd.ticket.updated" ||
		got.RoutingKey != "main.ticket.updated" || !got.Timestamp.Equal(sent[0].At.Truncate(time.Second)) {
		t.Errorf("the queue has %+v", got)
	}
}

// More events than the confirms that may be outstanding.
func testMany(t *testing.T, b *broker) {
	const n = 700
	feedtest.WantAll(t, b.publisher(t, nil).Publish(t.Context(), feedtest.Wave(n, 1)), n, feed.Confirmed)
	for i, e := range b.consume(t, queue, n) {
		if e.Subject != strconv.Itoa(i+1) {
			t.Fatalf("event %d is of ticket %s", i, e.Subject)
		}
	}
}

// A queue that is full and says so.
func testNack(t *testing.T, b *broker) {
	b.bind(t, "full", "other.#", amqp091.Table{"x-max-length": 2, "x-overflow": "reject-publish"})
	verdicts := b.publisher(t, func(c *amqp.Config) { c.Site = "other" }).Publish(t.Context(), feedtest.Wave(5, 1))
	feedtest.WantAll(t, verdicts[:2], 2, feed.Confirmed)
	for _, v := range verdicts[3:] { // the queue may count behind the third
		feedtest.WantReason(t, v, feed.Later, "basic.nack")
	}
}

func testExchangeDeleted(t *testing.T, b *broker) {
	declares, looks := b.publisher(t, nil), b.publisher(t, func(c *amqp.Config) { c.Declare = false })
	for _, p := range []feed.Publisher{declares, looks} {
		feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(1, 1)), 1, feed.Confirmed)
	}
	b.admin(t, func(ch *amqp091.Channel) error { return ch.ExchangeDelete("ticketd", false, false) })
	feedtest.WantReason(t, looks.Publish(t.Context(), feedtest.Wave(1, 2))[0], feed.Paused, "no exchange 'ticketd'")
	if err := looks.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "ticketd") {
		t.Errorf("the probe finds the missing exchange: %v", err)
	}
	feedtest.WantReason(t, declares.Publish(t.Context(), feedtest.Wave(1, 2))[0], feed.Later, "no exchange 'ticketd'")
	feedtest.WantReason(t, declares.Publish(t.Context(), feedtest.Wave(1, 2))[0], feed.Paused, "no queue is bound")
	b.bind(t, queue, "main.ticket.*", nil)
	for _, p := range []feed.Publisher{declares, looks} {
		feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(1, 2)), 1, feed.Confirmed)
	}
	b.consume(t, queue, 4)

	b.admin(t, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare("taken", amqp091.ExchangeDirect, true, false, false, false, nil)
	})
	other := b.publisher(t, func(c *amqp.Config) { c.Exchange = "taken" })
	feedtest.WantReason(t, other.Publish(t.Context(), feedtest.Wave(1, 1))[0], feed.Paused, "PRECONDITION_FAILED")
}

func testRefusedLogin(t *testing.T, b *broker) {
	err := b.publisher(t, func(c *amqp.Config) { c.URL = strings.Replace(c.URL, ":guest@", ":s3cret@", 1) }).Probe(t.Context())
	if err == nil || !strings.Contains(err.Error(), "password not allowed") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a wrong password: %v", err)
	}
}

// A broker with an alarm does not read, and answers nothing.
func testAlarm(t *testing.T, b *broker) {
	b.own(t, "alarm")
	p := b.publisher(t, func(c *amqp.Config) { c.Site, c.Timeout = "alarm", 2*time.Second })
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(2, 1)), 2, feed.Confirmed)
	if err := b.Control(t.Context(), "set_vm_memory_high_watermark", "0.0001"); err != nil {
		t.Fatal(err)
	}
	feedtest.WantReason(t, p.Publish(t.Context(), feedtest.Wave(2, 2))[0], feed.Paused, "connection.blocked")
	if err := p.Probe(t.Context()); err == nil || !strings.Contains(err.Error(), "connection.blocked") {
		t.Errorf("the probe says %v", err)
	}
	full := b.publisher(t, func(c *amqp.Config) { c.Site, c.Unroutable, c.Timeout = "long", amqp.Drop, 2*time.Second })
	feedtest.WantAll(t, full.Publish(t.Context(), long(300)), 300, feed.Paused)
	if err := b.Control(t.Context(), "set_vm_memory_high_watermark", "0.4"); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the probe finds the broker well", func() bool { return p.Probe(t.Context()) == nil })
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(2, 2)), 2, feed.Confirmed)
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(2, 3)), 2, feed.Confirmed)
	b.wantOrder(t, "alarm", 2, 3)
}

// wantOrder empties the queue: the first occurrences of each ticket's revisions ascend to last.
func (b *broker) wantOrder(t *testing.T, queue string, tickets int, last int64) {
	t.Helper()
	var n int
	b.admin(t, func(ch *amqp091.Channel) error {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		n = q.Messages
		return err
	})
	newest := map[string]int64{}
	for _, e := range b.consume(t, queue, n) {
		if e.Data.Revision > newest[e.Subject]+1 {
			t.Errorf("ticket %s jumps from revision %d to %d", e.Subject, newest[e.Subject], e.Data.Revision)
		}
		newest[e.Subject] = max(newest[e.Subject], e.Data.Revision)
	}
	for i := range tickets {
		if got := newest[strconv.Itoa(i+1)]; got != last {
			t.Errorf("ticket %d ends at revision %d, not %d", i+1, got, last)
		}
	}
}

func testSilentBroker(t *testing.T, b *broker) {
	b.own(t, "silent")
	fast := func(c *amqp.Config) { c.Site, c.Timeout = "silent", 300*time.Millisecond }
	connected, fresh := b.publisher(t, fast), b.publisher(t, fast)
	full := b.publisher(t, func(c *amqp.Config) { c.Site, c.Unroutable, c.Timeout = "long", amqp.Drop, 300*time.Millisecond })
	for _, p := range []feed.Publisher{connected, full} {
		feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(1, 1)), 1, feed.Confirmed)
	}
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	feedtest.WantReason(t, connected.Publish(t.Context(), feedtest.Wave(1, 2))[0], feed.Later, "no confirm within 300ms")
	feedtest.WantReason(t, fresh.Publish(t.Context(), feedtest.Wave(1, 1))[0], feed.Later, "no connection within 300ms")
	began := time.Now()
	feedtest.WantReason(t, full.Publish(t.Context(), long(256))[255], feed.Later, "i/o timeout") // a write blocks
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a blocked write held Publish for %s", took)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the daemon stops"))
	feedtest.WantReason(t, fresh.Publish(ctx, feedtest.Wave(1, 1))[0], feed.Later, "the daemon stops")
	if err := b.Resume(); err != nil {
		t.Fatal(err)
	}
	feedtest.WantAll(t, connected.Publish(t.Context(), feedtest.Wave(1, 2)), 1, feed.Confirmed)
	b.wantOrder(t, "silent", 1, 2)
}

// The broker dies with unconfirmed events; after its restart, all are published again, and nothing is lost.
func testKilled(t *testing.T, b *broker) {
	const n = 200
	b.own(t, "killed")
	p := b.publisher(t, func(c *amqp.Config) { c.Site = "killed" })
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(n, 1)), n, feed.Confirmed)
	if err := b.Pause(); err != nil {
		t.Fatal(err)
	}
	answers := make(chan []feed.Verdict)
	go func() { answers <- p.Publish(context.Background(), feedtest.Wave(n, 2)) }()
	b.Kill()
	unconfirmed := <-answers
	feedtest.WantAll(t, unconfirmed, n, feed.Later)
	feedtest.WantReason(t, p.Publish(t.Context(), feedtest.Wave(1, 2))[0], feed.Later, "connecting to 127.0.0.1")
	if err := b.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 20*time.Second, "the broker has recovered its queues", func() bool {
		return p.Publish(t.Context(), feedtest.Wave(1, 2))[0].Decision == feed.Confirmed
	})
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(n, 2)), n, feed.Confirmed)
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(n, 3)), n, feed.Confirmed)
	b.wantOrder(t, "killed", n, 3)
}

func TestConfigurationRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		edit func(c *amqp.Config)
	}{
		{"url", func(c *amqp.Config) { c.URL = "" }},
		{"url", func(c *amqp.Config) { c.URL = "http://user:s3cret@host/" }},
		{"url", func(c *amqp.Config) { c.URL = "amqps://user:s3cret@host:port/" }},
		{"routing", func(c *amqp.Config) { c.Routing = "{id}" }},
		{"routing", func(c *amqp.Config) { c.Routing = strings.Repeat("x", 250) }},
		{"exchange", func(c *amqp.Config) { c.Exchange = strings.Repeat("x", 256) }},
		{"unroutable", func(c *amqp.Config) { c.Unroutable = "lose" }},
		{"timeout", func(c *amqp.Config) { c.Timeout = -1 }},
	} {
		config := amqp.Config{URL: "amqps://user:s3cret@rabbit.example/", Site: "main"}
		c.edit(&config)
		_, err := amqp.New(config)
		if err == nil || !strings.HasPrefix(err.Error(), c.key+": ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%+v: %v", config, err)
		}
	}
}
