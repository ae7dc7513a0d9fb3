// Package nats publishes events to a stream of NATS JetStream. NATS without a stream answers no publish, and loses a message
// without a subscriber.
//
// # What is confirmed
//
// An event is confirmed by the stream's acknowledgement. Each message has the event's id: the stream throws a repeat within its
// window of duplicates away and acknowledges it, which confirms the event as well. The server acknowledges before it has synced
// its disk, every two minutes by default: a loss of power may take acknowledged events with it. See docs/feed.md.
//
// # Life of a session
//
// A session is a connection, made by Publish and given up when an answer is late or the connection breaks: reconnecting by the
// library would send what it has buffered beside what the courier repeats. Messages of a call are on their way together, and the
// server may refuse one and take a later one, so the publisher is not Ordered.
package nats
