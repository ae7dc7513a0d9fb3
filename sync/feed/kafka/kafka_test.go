package kafka_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
	"github.com/ticketd/ticketd/sync/feed/feedtest"
	"github.com/ticketd/ticketd/sync/feed/kafka"
)

const topic = "ticketd.main"

// cluster starts three brokers in this process, with a topic of three partitions.
func cluster(t *testing.T, options ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.SeedTopics(3, topic)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func publisher(t *testing.T, c *kfake.Cluster, edit func(c *kafka.Config)) feed.Publisher {
	t.Helper()
	config := kafka.Config{Brokers: c.ListenAddrs(), Site: "main", Encoder: cloudevent.NewEncoder("main", false, nil)}
	if edit != nil {
		edit(&config)
	}
	return feedtest.Open(t, func() (feed.Publisher, error) { return kafka.New(config) })
}

// record is what kcat prints of a record.
type record struct {
	Topic     string   `json:"topic"`
	Partition int      `json:"partition"`
	Time      int64    `json:"ts"`
	Headers   []string `json:"headers"`
	Key       string   `json:"key"`
	Payload   *string  `json:"payload"`
}

// consume reads the topic to its end with kcat, whose librdkafka shares no code with the publisher or the brokers.
func consume(t *testing.T, c *kfake.Cluster) []record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "kcat", "-C", "-b", strings.Join(c.ListenAddrs(), ","), "-t", topic, "-e", "-J", "-q")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("kcat: %v: %s", err, &complaint)
	}
	var records []record
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// wantOnce checks that the topic has each ticket's revisions 1 to last once, in order, in one partition.
func wantOnce(t *testing.T, records []record, tickets, last int) {
	t.Helper()
	partitions, newest := map[string]int{}, map[string]int{}
	for _, r := range records {
		var e struct {
			Data struct {
				Ticket   string `json:"ticket"`
				Revision int    `json:"revision"`
			} `json:"data"`
		}
		if err := json.Unmarshal([]byte(*r.Payload), &e); err != nil {
			t.Fatal(err)
		}
		if e.Data.Ticket != r.Key || e.Data.Revision != newest[r.Key]+1 {
			t.Errorf("under the key %s: ticket %s, revision %d after %d", r.Key, e.Data.Ticket, e.Data.Revision, newest[r.Key])
		}
		if partition, known := partitions[r.Key]; known && partition != r.Partition {
			t.Errorf("ticket %s is in the partitions %d and %d", r.Key, partition, r.Partition)
		}
		partitions[r.Key], newest[r.Key] = r.Partition, e.Data.Revision
	}
	if len(records) != tickets*last {
		t.Errorf("%d records, not %d", len(records), tickets*last)
	}
	used := map[int]bool{}
	for _, partition := range partitions {
		used[partition] = true
	}
	if tickets > 20 && len(used) < 3 {
		t.Errorf("%d tickets share %d partitions", tickets, len(used))
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	p := publisher(t, c, func(c *kafka.Config) { c.Tombstones = true })
	if err := p.Probe(t.Context()); err != nil {
		t.Fatal(err)
	}
	events := feedtest.Wave(1, 7)
	events[0].Ticket = 9223372036854775807
	feedtest.WantAll(t, p.Publish(t.Context(), events), 1, feed.Confirmed)
	deleted := feedtest.Wave(1, 8)
	deleted[0].Kind = ticket.EventDeleted
	feedtest.WantAll(t, p.Publish(t.Context(), deleted), 1, feed.Confirmed)
	gap := ticket.Event{Kind: ticket.EventGap, First: 1, Last: 2, Lost: 2}
	feedtest.WantAll(t, p.Publish(t.Context(), []ticket.Event{gap}), 1, feed.Confirmed)

	byKey := map[string][]record{}
	for _, r := range consume(t, c) {
		byKey[r.Key] = append(byKey[r.Key], r)
	}
	change := byKey["9223372036854775807"]
	want := string(cloudevent.NewEncoder("main", false, nil).Encode(&events[0]))
	headers := "content-type,application/cloudevents+json; charset=utf-8,ce_id,9223372036854775807-7,ce_type," +
		"com.github.ticketd.ticket.updated"
	if len(change) != 1 || *change[0].Payload != want || change[0].Time != 1764000000123 ||
		strings.Join(change[0].Headers, ",") != headers {
		t.Errorf("the change is %+v", change)
	}
	if d := byKey["1"]; len(d) != 2 || d[0].Payload == nil || d[1].Payload != nil {
		t.Errorf("the deletion is %+v", d)
	}
	if len(byKey["feed"]) != 1 {
		t.Errorf("the gap is %+v", byKey["feed"])
	}
}

// Answers that come after the write, or not at all, and leaders that move: nothing is lost, and within a session nothing is
// there twice.
func TestFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]kfake.Fault{
		"timed out after the append": {Err: kerr.RequestTimedOut, Count: 3},
		"too few replicas after it":  {Err: kerr.NotEnoughReplicasAfterAppend, Count: 3},
		"not the leader":             {Err: kerr.NotLeaderForPartition, Count: 3},
		"too few replicas":           {Err: kerr.NotEnoughReplicas, Count: 3},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n, last = 50, 3
			c := cluster(t)
			p := publisher(t, c, nil)
			for revision := range last {
				fault.Keys = []kmsg.Key{kmsg.Produce}
				handle := c.Fault(fault)
				feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(n, ticket.Revision(revision+1))), n, feed.Confirmed)
				if handle.Hits() == 0 {
					t.Error("the fault was not met")
				}
			}
			wantOnce(t, consume(t, c), n, last)
		})
	}
	t.Run("the leader moves", func(t *testing.T) {
		t.Parallel()
		const n, last = 50, 6
		c := cluster(t)
		p := publisher(t, c, nil)
		for revision := range last {
			for partition := range int32(3) {
				if err := c.MoveTopicPartition(topic, partition, int32(revision)%3); err != nil {
					t.Fatal(err)
				}
			}
			feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(n, ticket.Revision(revision+1))), n, feed.Confirmed)
		}
		wantOnce(t, consume(t, c), n, last)
	})
}

// The broker's limit of a batch: events that are too long are refused, those beside them arrive.
func TestMessageTooLarge(t *testing.T) {
	t.Parallel()
	c := cluster(t, kfake.BrokerConfigs(map[string]string{"message.max.bytes": "10000"}))
	p := publisher(t, c, nil)
	events := feedtest.Wave(60, 1)
	for i := range events { // so that a few of them are too long together
		length := 2000
		if i == 7 {
			length = 60_000
		}
		noise := make([]byte, length/2) // does not compress
		_, _ = rand.Read(noise)
		events[i].Fields = ticket.Fields{{Name: "subject", Value: ticket.Text(hex.EncodeToString(noise))}}
	}
	verdicts := p.Publish(t.Context(), events)
	if verdicts[7].Decision != feed.Refused || !errors.Is(verdicts[7].Err, kerr.MessageTooLarge) {
		t.Errorf("the long event is %+v", verdicts[7])
	}
	feedtest.WantAll(t, append(verdicts[:7:7], verdicts[8:]...), 59, feed.Confirmed)
	seen := map[string]bool{}
	for _, r := range consume(t, c) {
		seen[r.Key] = true
	}
	if len(seen) != 59 || seen["8"] {
		t.Errorf("the topic has the events of %d tickets", len(seen))
	}
}

func TestMissingTopic(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	p := publisher(t, c, func(c *kafka.Config) { c.Topic = "another.{site}" })
	for range 2 {
		verdict := p.Publish(t.Context(), feedtest.Wave(1, 1))[0]
		if verdict.Decision != feed.Paused || !strings.Contains(verdict.Err.Error(), `"another.main"`) {
			t.Errorf("without the topic: %+v", verdict)
		}
		if err := p.Probe(t.Context()); !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Errorf("the probe says %v", err)
		}
	}
	// A topic that goes away under a session.
	there := publisher(t, c, nil)
	feedtest.WantAll(t, there.Publish(t.Context(), feedtest.Wave(3, 1)), 3, feed.Confirmed)
	if err := c.DeleteTopic(topic); err != nil {
		t.Fatal(err)
	}
	feedtest.WantAll(t, there.Publish(t.Context(), feedtest.Wave(3, 2)), 3, feed.Paused)
	if err := c.CreateTopic(topic, 3, nil); err != nil {
		t.Fatal(err)
	}
	if err := there.Probe(t.Context()); err != nil {
		t.Error(err)
	}
	feedtest.WantAll(t, there.Publish(t.Context(), feedtest.Wave(3, 2)), 3, feed.Confirmed)
}

func TestLogin(t *testing.T) {
	t.Parallel()
	c := cluster(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "ticketd", "right"))
	p := publisher(t, c, func(c *kafka.Config) { c.SASL, c.Username, c.Password = "scram-sha-512", "ticketd", "right" })
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(1, 1)), 1, feed.Confirmed)

	// kfake hangs up where Kafka answers.
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		answer := kmsg.NewPtrSASLAuthenticateResponse()
		answer.Version, answer.ErrorCode = request.GetVersion(), kerr.SaslAuthenticationFailed.Code
		return answer, nil, true
	})
	p = publisher(t, c, func(c *kafka.Config) { c.SASL, c.Username, c.Password = "plain", "ticketd", "wrong-s3cret" })
	verdict := p.Publish(t.Context(), feedtest.Wave(1, 1))[0]
	if verdict.Decision != feed.Paused || strings.Contains(verdict.Err.Error(), "s3cret") {
		t.Errorf("with a wrong password: %+v", verdict)
	}
}

// Brokers that do not answer, or are away: Publish returns in time, and all is published again afterwards.
func TestSilentBrokers(t *testing.T) {
	t.Parallel()
	c := cluster(t)
	p := publisher(t, c, func(c *kafka.Config) { c.Timeout = 300 * time.Millisecond })
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(50, 1)), 50, feed.Confirmed)
	answer := make(chan struct{})
	c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.SleepControl(func() { <-answer })
		return nil, nil, false //nolint:nilnil // the broker itself answers
	})
	verdicts := p.Publish(t.Context(), feedtest.Wave(50, 2))
	close(answer)
	late := 0
	for _, v := range verdicts { // other brokers may have answered
		if v.Decision == feed.Later && strings.Contains(v.Err.Error(), "no confirm within 300ms") {
			late++
		} else if v.Decision != feed.Confirmed {
			t.Errorf("while a broker is silent: %+v", v)
		}
	}
	if late == 0 {
		t.Error("no event waits for the silent broker")
	}
	feedtest.WantAll(t, p.Publish(t.Context(), feedtest.Wave(50, 2)), 50, feed.Confirmed)

	ended, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the daemon stops"))
	feedtest.WantAll(t, p.Publish(ended, feedtest.Wave(1, 3)), 1, feed.Later)

	away := publisher(t, c, func(c *kafka.Config) { c.Brokers = []string{"127.0.0.1:1"} })
	verdict := away.Publish(t.Context(), feedtest.Wave(1, 1))[0]
	if verdict.Decision != feed.Later || !strings.Contains(verdict.Err.Error(), "connection refused") {
		t.Errorf("without a broker: %+v", verdict)
	}
}

func TestConfigurationRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		key  string
		edit func(c *kafka.Config)
	}{
		{"brokers", func(c *kafka.Config) { c.Brokers = nil }},
		{"brokers", func(c *kafka.Config) { c.Brokers = []string{"10.0.0.9"} }},
		{"topic", func(c *kafka.Config) { c.Topic = "{ticket}" }},
		{"topic", func(c *kafka.Config) { c.Topic = "tickets of {site}" }},
		{"sasl", func(c *kafka.Config) { c.SASL = "gssapi" }},
		{"sasl", func(c *kafka.Config) { c.SASL = "" }},
		{"sasl", func(c *kafka.Config) { c.Username = "" }},
		{"timeout", func(c *kafka.Config) { c.Timeout = -1 }},
	} {
		config := kafka.Config{
			Brokers: []string{"10.0.0.9:9092"}, Site: "main", SASL: "plain", Username: "ticketd", Password: "s3cret",
		}
		c.edit(&config)
		_, err := kafka.New(config)
		if err == nil || !strings.HasPrefix(err.Error(), c.key+": ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", c.key, err)
		}
	}
}
