package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
)

// window is how many events may wait for their acknowledgements.
const window = 256

// The server's codes of errors that concern a single event, or the destination.
const (
	codeTooLong        jetstream.ErrorCode = 10054 // message size exceeds maximum allowed
	codeHeadersTooLong jetstream.ErrorCode = 10097
	codeOtherStream    jetstream.ErrorCode = 10060 // another stream has the subject
	codeSealed         jetstream.ErrorCode = 10109 // the stream takes nothing any more
	codeNotEnabled     jetstream.ErrorCode = 10076 // JetStream is off
)

// Publish publishes the events, a window at a time, and waits for their acknowledgements.
func (p *publisher) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	verdicts := make([]feed.Verdict, 0, len(events))
	for len(verdicts) < len(events) {
		part := events[len(verdicts):min(len(verdicts)+window, len(events))]
		for _, err := range p.publish(ctx, part) {
			verdicts = append(verdicts, verdict(err))
		}
	}
	return verdicts
}

// publish publishes at most a window of events and returns an error for each event, nil if it is acknowledged.
func (p *publisher) publish(ctx context.Context, events []ticket.Event) []error {
	errs := make([]error, len(events))
	s, failed := p.open(ctx)
	futures := make([]jetstream.PubAckFuture, len(events))
	for i := range events {
		if failed == nil {
			futures[i], errs[i] = s.stream.PublishMsgAsync(p.message(&events[i]))
		}
	}
	for i, future := range futures {
		switch {
		case errs[i] != nil: // the library did not send it
		case failed == nil:
			errs[i], failed = p.await(ctx, s, future)
		case future == nil:
			errs[i] = failed
		default: // an answer may have arrived meanwhile
			errs[i] = failed
			select {
			case <-future.Ok():
				errs[i] = nil
			default:
			}
		}
		if errors.Is(errs[i], jetstream.ErrNoStreamResponse) {
			errs[i] = p.noStream(p.subject.Of(&events[i]))
		}
	}
	if failed != nil {
		p.drop()
	}
	return errs
}

func (p *publisher) message(e *ticket.Event) *nats.Msg {
	header := nats.Header{
		// Several sites may share a stream, and tickets of two sites an id and a revision.
		jetstream.MsgIDHeader: {p.config.Site + "/" + e.ID()}, "Content-Type": {cloudevent.ContentType},
	}
	if p.config.Stream != "" {
		header.Set(jetstream.ExpectedStreamHeader, p.config.Stream)
	}
	return &nats.Msg{Subject: p.subject.Of(e), Data: p.config.Encoder.Encode(e), Header: header}
}

// await waits for an acknowledgement, for the time-out at most. It returns the event's error, and the session's error if the
// session is of no more use.
func (p *publisher) await(ctx context.Context, s *session, future jetstream.PubAckFuture) (err, failed error) {
	timer := time.NewTimer(p.config.Timeout)
	defer timer.Stop()
	select {
	case <-future.Ok():
		return nil, nil
	case err := <-future.Err():
		return err, nil
	case <-s.denied:
		failed = s.violation()
	case <-s.closed:
		if failed = s.conn.LastError(); failed == nil {
			failed = nats.ErrConnectionClosed
		}
	case <-timer.C:
		failed = fmt.Errorf("no acknowledgement within %s", p.config.Timeout)
	case <-ctx.Done():
		failed = fmt.Errorf("waiting for an acknowledgement: %w", context.Cause(ctx))
	}
	return failed, failed
}

// verdict is the verdict of an event. A full stream that refuses new messages answers like a server that lacks resources: the
// courier retries in both cases.
func verdict(err error) feed.Verdict {
	if err == nil {
		return feed.Verdict{Decision: feed.Confirmed}
	}
	v := feed.Verdict{Decision: feed.Later, Err: err}
	var code jetstream.ErrorCode
	if answer, ok := errors.AsType[jetstream.JetStreamError](err); ok && answer.APIError() != nil {
		code = answer.APIError().ErrorCode
	}
	_, noStream := errors.AsType[*noStreamError](err)
	switch {
	case errors.Is(err, nats.ErrMaxPayload), code == codeTooLong, code == codeHeadersTooLong:
		v.Decision = feed.Refused
	case noStream, code == codeOtherStream, code == codeSealed, code == codeNotEnabled, errors.Is(err, nats.ErrPermissionViolation),
		errors.Is(err, nats.ErrAuthorization), errors.Is(err, nats.ErrAuthExpired), errors.Is(err, nats.ErrAuthRevoked),
		errors.Is(err, nats.ErrAccountAuthExpired), errors.Is(err, jetstream.ErrJetStreamNotEnabled):
		v.Decision = feed.Paused
	}
	return v
}
