package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
)

const (
	// window is how many events may wait for their confirms.
	window = 1000
	// linger is how long the client waits for further records of a batch: the events of a call come within microseconds.
	linger = time.Millisecond
	// metadataAge bounds how often the client asks for the topic's leaders while publishing fails.
	metadataAge = 250 * time.Millisecond
	// feedKey is the key of an event without a ticket.
	feedKey = "feed"
)

// open returns the client, and makes the client first if necessary.
func (p *publisher) open(ctx context.Context) (*kgo.Client, error) {
	if p.client != nil {
		return p.client, nil
	}
	options := []kgo.Opt{
		kgo.ClientID("ticketd"), kgo.SoftwareNameAndVersion("ticketd", version.String()),
		kgo.SeedBrokers(p.config.Brokers...), kgo.DefaultProduceTopicAlways(), kgo.DefaultProduceTopic(p.topic),
		kgo.MaxBufferedRecords(2 * window), kgo.ProducerLinger(linger), kgo.MetadataMinAge(metadataAge),
		kgo.DialTimeout(p.config.Timeout), kgo.DisableClientMetrics(),
	}
	if p.config.TLS != nil {
		options = append(options, kgo.DialTLSConfig(p.config.TLS.Clone()))
	}
	if p.login != nil {
		options = append(options, kgo.SASL(p.login))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return nil, fmt.Errorf("making a client: %w", err)
	}
	if err := p.look(ctx, client); err != nil {
		client.Close()
		return nil, fmt.Errorf("looking for the topic %q: %w", p.topic, err)
	}
	p.client = client
	return client, nil
}

// look asks a broker whether the topic exists. Records of a missing topic would wait in the client for many seconds.
func (p *publisher) look(ctx context.Context, client *kgo.Client) error {
	ctx, cancel := context.WithTimeoutCause(ctx, p.config.Timeout, fmt.Errorf("no answer within %s", p.config.Timeout))
	defer cancel()
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &p.topic
	request.Topics = append(request.Topics, topic)
	var answer *kmsg.MetadataResponse
	err := client.Ping(ctx) // unlike requests, a ping is not repeated until ctx ends
	if err == nil {
		answer, err = request.RequestWith(ctx, client)
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return context.Cause(ctx)
	case err != nil:
		return err
	}
	for _, topic := range answer.Topics {
		if err := kerr.ErrorForCode(topic.ErrorCode); err != nil {
			return err
		}
	}
	return nil
}

// Publish publishes the events, a window at a time, and waits for their confirms.
func (p *publisher) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdicts := make([]feed.Verdict, 0, len(events))
	for len(verdicts) < len(events) {
		part := events[len(verdicts):min(len(verdicts)+window, len(events))]
		errs := p.produce(ctx, part)
		for i := range part {
			// A batch that is too long for the broker may hold events that are not.
			if len(part) > 1 && errors.Is(errs[i], kerr.MessageTooLarge) {
				errs[i] = p.produce(ctx, part[i:i+1])[0]
			}
			verdicts = append(verdicts, verdict(errs[i]))
		}
	}
	return verdicts
}

// answer is what became of an event's record.
type answer struct {
	index int
	err   error
}

// produce produces the events' records and returns an error for each event, nil if all its records are confirmed.
func (p *publisher) produce(ctx context.Context, events []ticket.Event) []error {
	errs := make([]error, len(events))
	client, err := p.open(ctx)
	if err != nil {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	answers := make(chan answer, 2*len(events)) // the client never waits for this function
	endless := context.WithoutCancel(ctx)
	waiting := 0
	for i := range events {
		for _, record := range p.records(&events[i]) {
			waiting++
			client.TryProduce(endless, record, func(_ *kgo.Record, err error) { answers <- answer{i, err} })
		}
	}
	timer := time.NewTimer(p.config.Timeout)
	defer timer.Stop()
	var why error
	for ; waiting > 0; waiting-- {
		select {
		case a := <-answers:
			errs[a.index] = errors.Join(errs[a.index], a.err)
			timer.Reset(p.config.Timeout)
			continue
		case <-timer.C:
			why = fmt.Errorf("no confirm within %s", p.config.Timeout)
		case <-ctx.Done():
			why = fmt.Errorf("waiting for a confirm: %w", context.Cause(ctx))
		}
		break
	}
	if why != nil || slices.ContainsFunc(errs, failed) {
		p.drop() // answers every record; the next session asks anew
	}
	for ; waiting > 0; waiting-- {
		if a := <-answers; a.err != nil {
			errs[a.index] = errors.Join(errs[a.index], why)
		}
	}
	return errs
}

// failed says whether an error says more than that an event is too long.
func failed(err error) bool { return err != nil && !errors.Is(err, kerr.MessageTooLarge) }

// records are the records of an event.
func (p *publisher) records(e *ticket.Event) []*kgo.Record {
	key := feedKey
	if e.Ticket.Valid() {
		key = e.Ticket.String()
	}
	records := []*kgo.Record{{
		Key: []byte(key), Value: p.config.Encoder.Encode(e), Timestamp: e.At,
		Headers: []kgo.RecordHeader{
			{Key: "content-type", Value: []byte(cloudevent.ContentType)}, {Key: "ce_id", Value: []byte(e.ID())},
			{Key: "ce_type", Value: []byte(cloudevent.Type(e.Kind))},
		},
	}}
	if p.config.Tombstones && e.Kind == ticket.EventDeleted {
		records = append(records, &kgo.Record{Key: []byte(key), Timestamp: e.At})
	}
	return records
}

// verdict is the verdict of an event. The broker's answer tells what is wrong with the event from what is wrong with the
// destination; without an answer, trying again is right.
func verdict(err error) feed.Verdict {
	if err == nil {
		return feed.Verdict{Decision: feed.Confirmed}
	}
	v := feed.Verdict{Decision: feed.Later, Err: err}
	for decision, answers := range map[feed.Decision][]*kerr.Error{
		feed.Refused: {kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord},
		feed.Paused: {
			kerr.UnknownTopicOrPartition, kerr.InvalidTopicException, kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed,
			kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.PolicyViolation,
		},
	} {
		for _, answer := range answers {
			if errors.Is(err, answer) {
				v.Decision = decision
			}
		}
	}
	return v
}
