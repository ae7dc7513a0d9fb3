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
// A session is a connection with one channel. Publish opens it, and gives it up after everything out of the ordinary: then it
// opens another, and the courier publishes again what has no confirm. The library's own recovery is off, as delivery tags start
// again after a reconnect.
//
//	none ──Publish──> open ──close, nack, no confirm in time──> none
//	                    │
//	                    └──connection.blocked──> blocked: kept, as RabbitMQ tells a connection that it is blocked only after it has
//	                                             published something; Probe asks it, the next Publish gives it up
//
// # What the library blocks on
//
// A write blocks while RabbitMQ does not read, whatever the context says: each write has a deadline of its own. Closing waits for
// an answer: it has a deadline, too. Channels for notifications are buffered for all that one Publish can cause, or read by a
// goroutine of the session, since the library waits for their readers.
package amqp
