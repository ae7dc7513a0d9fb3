package amqp

import (
	"context"
	"errors"
	"fmt"
	"time"

	amqp091 "github.com/rabbitmq/amqp091-go"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
)

var (
	errNack  = errors.New("the broker did not accept the event (basic.nack)")
	errAlarm = errors.New("an alarm of the broker held publishers back") // the alarm has ended
)

// Publish publishes the events, a window at a time, and waits for their confirms.
func (p *publisher) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdicts := make([]feed.Verdict, 0, len(events))
	for len(verdicts) < len(events) {
		s, err := p.open(ctx)
		if err == nil {
			var answers []feed.Verdict
			answers, err = p.publish(ctx, s, events[len(verdicts):min(len(verdicts)+window, len(events))])
			verdicts = append(verdicts, answers...)
		}
		if err != nil {
			rest := p.verdict(err)
			for len(verdicts) < len(events) {
				verdicts = append(verdicts, rest)
			}
		}
	}
	return verdicts
}

// publish publishes at most a window of events. An error says why the session is of no more use; every event has a verdict also
// then.
func (p *publisher) publish(ctx context.Context, s *session, events []ticket.Event) ([]feed.Verdict, error) {
	confirms, failed := p.send(s, events)
	for _, confirm := range confirms {
		if failed == nil {
			failed = p.await(ctx, s, confirm)
		}
	}
	acked := make([]bool, len(events))
	for i, confirm := range confirms {
		acked[i] = confirm.Acked()
	}
	if failed == nil && s.channel.IsClosed() {
		failed = s.cause(amqp091.ErrClosed)
	}
	if failed != nil && !s.alarmed() {
		p.drop(s.channel.IsClosed()) // what has no confirm gets another delivery tag next time
	}
	returned := s.returned()
	verdicts := make([]feed.Verdict, len(events))
	for i := range events {
		verdicts[i] = p.decide(&events[i], acked[i], returned, failed)
	}
	return verdicts, failed
}

// send writes the events. A write blocks for the socket's time-out at most.
func (p *publisher) send(s *session, events []ticket.Event) ([]*amqp091.DeferredConfirmation, error) {
	confirms := make([]*amqp091.DeferredConfirmation, 0, len(events))
	for i := range events {
		if s.alarmed() {
			return confirms, s.cause(errAlarm) // the rest would only wait in the socket
		}
		e := &events[i]
		confirm, err := s.channel.PublishWithDeferredConfirm(p.config.Exchange, p.routing.Of(e), true, false, amqp091.Publishing{
			ContentType: cloudevent.ContentType, DeliveryMode: amqp091.Persistent, MessageId: e.ID(), Timestamp: e.At,
			Type: cloudevent.Type(e.Kind), AppId: "ticketd", Body: p.config.Encoder.Encode(e),
		})
		if err != nil {
			return confirms, s.cause(err)
		}
		confirms = append(confirms, confirm)
	}
	return confirms, nil
}

// await waits for a confirm, for the time-out at most.
func (p *publisher) await(ctx context.Context, s *session, confirm *amqp091.DeferredConfirmation) error {
	timer := time.NewTimer(p.config.Timeout)
	defer timer.Stop()
	select {
	case <-confirm.Done():
		return nil
	case <-s.alarm:
		return s.cause(errAlarm)
	case <-timer.C:
		return fmt.Errorf("no confirm within %s", p.config.Timeout)
	case <-ctx.Done():
		return fmt.Errorf("waiting for a confirm: %w", context.Cause(ctx))
	}
}

// returned are the returned events and why. The broker returns an event before it acknowledges it, so after the confirms all
// returns are here.
func (s *session) returned() map[string]string {
	returned := map[string]string{}
	for {
		select {
		case r, open := <-s.returns:
			if !open {
				return returned
			}
			returned[r.MessageId] = fmt.Sprintf("%d %s", r.ReplyCode, r.ReplyText)
		default:
			return returned
		}
	}
}

func (p *publisher) decide(e *ticket.Event, acked bool, returned map[string]string, failed error) feed.Verdict {
	reason, unroutable := returned[e.ID()]
	switch {
	case acked && unroutable && p.config.Unroutable == Hold:
		return feed.Verdict{Decision: feed.Paused, Err: fmt.Errorf("no queue is bound to the exchange %q for the routing key %q (%s)",
			p.config.Exchange, p.routing.Of(e), reason)}
	case acked:
		return feed.Verdict{Decision: feed.Confirmed}
	case failed != nil:
		return p.verdict(failed)
	}
	return feed.Verdict{Decision: feed.Later, Err: errNack}
}
