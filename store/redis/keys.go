package redis

import (
	"strconv"

	"github.com/ticketd/ticketd/internal/ticket"
)

// keys makes the names of every Redis key. All keys of one partition share a cluster slot through the partition's hash tag, so
// that one script may touch a ticket and its index. Standalone and Sentinel are a single partition without a tag.
type keys struct {
	prefix     string
	partitions int
}

// partition returns the partition of a ticket: 0 to partitions-1.
func (k keys) partition(id ticket.ID) int {
	return int(int64(id) % int64(k.partitions)) // ids are above zero
}

func (k keys) base(partition int) string {
	if k.partitions == 1 {
		return k.prefix + "ticket:"
	}
	return k.prefix + "{t" + strconv.Itoa(partition) + "}:ticket:"
}

func (k keys) ticket(id ticket.ID) string {
	return k.base(k.partition(id)) + id.String()
}

func (k keys) dirty(partition int) string { return k.base(partition) + "dirty" }
func (k keys) dead(partition int) string  { return k.base(partition) + "dead" }
func (k keys) meta(partition int) string  { return k.base(partition) + "meta" }

func (k keys) request(partition int, requestID string) string {
	return k.base(partition) + "req:" + requestID
}
