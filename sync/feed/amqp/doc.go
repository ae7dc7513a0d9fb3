// Package amqp publishes events to a topic exchange of RabbitMQ (AMQP 0.9.1): persistent, mandatory, with publisher confirms.
//
// # What is confirmed
//
// An event is confirmed when the broker has acknowledged it and has not returned it before. RabbitMQ also acknowledges an event
// that no queue wants: without mandatory, a forgotten binding would lose every event. A returned event pauses the destination
// ("hold"), or counts as confirmed ("drop").
//
// # Life of a session
//
// A session is a connection with one channel. Publish opens the session, and closes the session after any unexpected event: the
// next Publish opens another session, and the courier publishes the unconfirmed events again. The library's own recovery is off,
// because delivery tags start again after a reconnect.
//
//	none ──Publish──> open ──close, nack, no confirm in time──> none
//	                    │
//	                    └──connection.blocked──> blocked: kept, because RabbitMQ reports the block only to connections that have
//	                                             published; Probe reads the report, the next Publish closes the session
//
// # What the library blocks on
//
// A write blocks while RabbitMQ does not read, whatever the context says: each write has a deadline of its own. Closing waits for
// an answer: it has a deadline, too. Channels for notifications are buffered for all that one Publish can cause, or read by a
// goroutine of the session, since the library waits for their readers.
package amqp
