// Package kafka publishes events to a Kafka topic: idempotent, confirmed by all in-sync replicas, with the ticket's id as key, so
// that the changes of a ticket share a partition.
//
// # Order
//
// An idempotent producer keeps the order of repeated batches. But after a batch that the broker refuses permanently, the producer
// sends the next batch, which may hold a later change of the same ticket. So the publisher is not Ordered: no wave of the courier
// has a ticket twice, and a ticket's next event follows the confirm of the event before.
//
// # Life of a session
//
// A session is a client of the library, made by Publish after the broker has shown that the topic exists. Records are produced
// with a context that does not end: a cancelled record of an idempotent producer may block its partition, or count as written
// and be lost. If the answers do not come in time, the client is closed, which forgets its records, and the courier publishes
// the unconfirmed events again.
//
// # Records
//
// The value is the CloudEvent as structured JSON. The headers content-type, ce_id and ce_type serve filters. With tombstones, a
// deleted ticket's event is followed by a record without a value, with which a compacted topic forgets the ticket.
package kafka
