package redis

import (
	"hash/fnv"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/graves"
	"github.com/ticketd/ticketd/store/redis/link"
)

// keys makes the name of every Redis key. All keys of one partition share a cluster slot through the partition's hash tag, so
// that one script may touch a ticket and its index. Standalone and Sentinel are a single partition without a tag.
type keys struct {
	prefix     string
	partitions int
}

// partition returns the partition of a ticket: 0 to partitions-1.
func (k keys) partition(id ticket.ID) int { return id.Partition(k.partitions) }

func (k keys) base(partition int) string { return link.Base(k.prefix, k.partitions, partition) }

// pattern is SCAN's pattern for all keys of all partitions.
func (k keys) pattern() string {
	base := link.CommonBase(k.prefix, k.partitions)
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(base) + "*"
}

// ticketID returns the ticket whose hash has a name. The name of any other key under the same base does not end in a number.
func (k keys) ticketID(name string) (ticket.ID, bool) {
	id, err := ticket.ParseID(name[strings.LastIndexByte(name, ':')+1:])
	return id, err == nil && k.ticket(id) == name
}

func (k keys) ticket(id ticket.ID) string {
	return k.base(k.partition(id)) + id.String()
}

func (k keys) dirty(partition int) string { return k.base(partition) + "dirty" }

func (k keys) dead(partition int) string { return k.base(partition) + "dead" }

func (k keys) feed(partition int) string { return k.base(partition) + "feed" }

func (k keys) cursors(partition int) string { return k.base(partition) + "feed:cursors" }

func (k keys) courier(partition int, destination string) string {
	return k.base(partition) + "feed:own:" + destination
}

// erased is the sorted set of the numbers of erased events.
func (k keys) erased(partition int) string { return k.base(partition) + "feed:erased" }

// feedLetters is the stream of a destination's letters, in the first partition.
func (k keys) feedLetters(destination string) string { return k.base(0) + "feed:dead:" + destination }

func (k keys) meta(partition int) string { return k.base(partition) + "meta" }

// graves is the set of tombstones of the ticket's bucket. A bucket is as many ids of one partition as Redis keeps in an intset by
// default (set-max-intset-entries): an id takes 2 to 8 bytes.
func (k keys) graves(id ticket.ID) string {
	bucket := int64(id) / (graves.Bucket * int64(k.partitions))
	return k.base(k.partition(id)) + "gone:" + strconv.FormatInt(bucket, 10)
}

func (k keys) request(partition int, requestID string) string {
	return k.base(partition) + "req:" + requestID
}

// reservation returns the keys that say which ticket and which request a request id stands for. The request id alone decides the
// partition: a client that repeats a create proposes a new ticket id each time, and a client may use the request id for another
// ticket, so neither knows the ticket's partition.
func (k keys) reservation(requestID string) (partition int, names []string) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(requestID))                 // never fails
	partition = int(hash.Sum32() % uint32(k.partitions)) //nolint:gosec // a small number
	base := k.base(partition)
	return partition, []string{base + "id:" + requestID, base + "asked:" + requestID}
}
