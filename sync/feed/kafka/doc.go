// Package kafka publishes events to a Kafka topic: idempotent, confirmed by all in-sync replicas, with the ticket's id as key, so
// that the changes of a ticket share a partition.
//
// # Order
//
// An idempotent producer keeps the order of what it repeats. But after a batch that the broker refuses for good, it goes on with
// the next one, which may hold a later change of the same ticket. So the publisher is not Ordered: the courier sends waves
// without a ticket twice, and goes on with a ticket after its confirm.
//
// # Life of a session
//
// A session is a client of the library, made by Publish after the broker has shown that the topic exists. Records are produced
// with a context that does not end: a cancelled record of an idempotent producer may block its partition, or count as written
// and be lost. If the answers do not come in time, the client is closed, which forgets its records, and the courier publishes
// again what has no confirm.
//
// # Records
//
// The value is the CloudEvent as structured JSON. The headers content-type, ce_id and ce_type serve filters. With tombstones, a
// deleted ticket's event is followed by a record without a value, with which a compacted topic forgets the ticket.
package kafka
