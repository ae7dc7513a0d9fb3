// Package cloudevent encodes events of the feed as CloudEvents 1.0 in the structured JSON form: the same bytes for every
// destination and every try. docs/feed.md describes the format.
//
// The package needs no library: an event is one JSON object with a dozen members. There is no CloudEvents binding for AMQP 0.9.1,
// and structured JSON is what webhooks, Kafka and NATS carry as well.
//
// # Numbers
//
// JavaScript and jq hold whole numbers up to 2^53-1. A ticket's id goes to 2^63-1 and is always text. The value of an integer
// column is a number up to 2^53-1 in either direction and text beyond. A revision fits 2^53-1 by the protocol and is a number.
//
// # Size
//
// Every intermediary of CloudEvents forwards 64 KiB and may refuse more. An event above [MaxSize] loses its longest values: old
// values are then absent, as if they were not known, and the names of new values are listed under "omitted".
package cloudevent
