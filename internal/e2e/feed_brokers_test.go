package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	amqp091 "github.com/rabbitmq/amqp091-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ticketd/ticketd/internal/testenv"
)

// The sections of the configuration reach RabbitMQ, Kafka and NATS: each gets every change with the same bytes.
func TestFeedToBrokers(t *testing.T) {
	t.Parallel()
	rabbit, nats := testenv.NewRabbitMQ(t), testenv.NewNATS(t)
	kafka, err := kfake.NewCluster(kfake.SeedTopics(1, "ticketd.main"))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()

	toRabbit := make(chan []byte, 10)
	conn, err := amqp091.Dial(rabbit.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	bound := bindQueue(t, conn)
	go func() {
		for delivery := range bound {
			toRabbit <- delivery.Body
		}
	}()

	toNATS := make(chan []byte, 10)
	subscriber, err := natsgo.Connect(nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer subscriber.Close()
	if _, err := subscriber.Subscribe("ticketd.main.>", func(m *natsgo.Msg) { toNATS <- m.Data }); err != nil {
		t.Fatal(err)
	}
	if err := subscriber.Flush(); err != nil {
		t.Fatal(err)
	}

	r := newRig(t, rigOptions{site: fmt.Sprintf("[sites.main.feeds.bus]\nkind = \"amqp\"\nurl = %q\n"+
		"[sites.main.feeds.lake]\nkind = \"kafka\"\nbrokers = [%q]\n"+
		"[sites.main.feeds.edge]\nkind = \"nats\"\nurl = %q\ncreate = true\n",
		rabbit.URL(), kafka.ListenAddrs()[0], nats.URL())})
	mustSet(t, r.dial(t), 1, "assigned_to", "3")

	consumer, err := kgo.NewClient(kgo.SeedBrokers(kafka.ListenAddrs()...), kgo.ConsumeTopics("ticketd.main"))
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	records := consumer.PollRecords(t.Context(), 1).Records()
	if len(records) != 1 || string(records[0].Key) != "1" {
		t.Fatalf("Kafka has %+v", records)
	}
	want := string(records[0].Value)
	var event struct {
		Data struct {
			Fields map[string]any `json:"fields"`
		} `json:"data"`
	}
	if err := json.Unmarshal(records[0].Value, &event); err != nil || event.Data.Fields["assigned_to"] != 3.0 {
		t.Errorf("the event is %s (%v)", want, err)
	}
	for name, from := range map[string]chan []byte{"RabbitMQ": toRabbit, "NATS": toNATS} {
		select {
		case got := <-from:
			if string(got) != want {
				t.Errorf("%s has %s, not %s", name, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("%s gets nothing", name)
		}
	}
	out, err := r.run(t, "feed")
	if err != nil || strings.Count(out, " up") < 3 {
		t.Errorf("%v\n%s", err, out)
	}
}

// bindQueue makes the exchange and a queue before the daemon starts, as the documentation says.
func bindQueue(t *testing.T, conn *amqp091.Connection) <-chan amqp091.Delivery {
	t.Helper()
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.ExchangeDeclare("ticketd", amqp091.ExchangeTopic, true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	queue, err := channel.QueueDeclare("crm", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := channel.QueueBind(queue.Name, "main.ticket.*", "ticketd", false, nil); err != nil {
		t.Fatal(err)
	}
	deliveries, err := channel.Consume(queue.Name, "", true, false, false, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	return deliveries
}
