package redis

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/graves"
)

// clusterPartitions is how many partitions a site has in a Redis Cluster. It is a part of the layout, as it says under which
// name a ticket is found, and so it is no setting. It bounds how many masters can share a site's tickets.
const clusterPartitions = 32

// Partitions is into how many partitions a site's keys are divided, each of which lies on one master.
func Partitions(cluster bool) int {
	if cluster {
		return clusterPartitions
	}
	return 1
}

// keys makes the names of every Redis key. All keys of one partition share a cluster slot through the partition's hash tag, so
// that one script may touch a ticket and its index. Standalone and Sentinel are a single partition without a tag.
type keys struct {
	prefix     string
	partitions int
}

// partition returns the partition of a ticket: 0 to partitions-1.
func (k keys) partition(id ticket.ID) int { return id.Partition(k.partitions) }

func (k keys) base(partition int) string {
	if k.partitions == 1 {
		return k.prefix + "ticket:"
	}
	return k.prefix + HashTag(partition) + ":ticket:"
}

// The hash tag of a partition is {t21} or the like, whatever the site: the same partition of all sites is on the same master.
const tagStart, tagEnd = "{t", "}"

// clusterTags are the numbers in the partitions' hash tags. Each is the lowest whose slot lies in the partition's share of the
// 16,384 slots, so that masters with the same number of slots get the same number of partitions; {t0} to {t31} would give one
// of three masters half of them.
var clusterTags = [clusterPartitions]int{
	21, 3, 10, 153, 50, 43, 61, 72, 20, 2, 11, 152, 51, 42, 60, 73, 23, 1, 12, 151, 52, 41, 63, 70, 22, 0, 13, 150, 53, 40, 62, 71,
}

// HashTag is what all keys of a partition of a cluster have in their names.
func HashTag(partition int) string { return tagStart + strconv.Itoa(clusterTags[partition]) + tagEnd }

// taggedPartition finds the partition in a key's name; false where it has no tag of ours.
func taggedPartition(key string) (partition int, tagged bool) {
	_, rest, found := strings.Cut(key, tagStart)
	number, _, closed := strings.Cut(rest, tagEnd)
	if !found || !closed {
		return 0, false
	}
	tag, err := strconv.Atoi(number)
	partition = slices.Index(clusterTags[:], tag)
	return partition, err == nil && partition >= 0
}

// pattern is what SCAN is asked for: all keys of all partitions.
func (k keys) pattern() string {
	base := k.prefix + "ticket:"
	if k.partitions > 1 {
		base = k.prefix + tagStart
	}
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(base) + "*"
}

// ticketID finds the ticket whose hash has that name. Keys under the same base that are no tickets have no number for a name.
func (k keys) ticketID(name string) (ticket.ID, bool) {
	id, err := ticket.ParseID(name[strings.LastIndexByte(name, ':')+1:])
	return id, err == nil && k.ticket(id) == name
}

func (k keys) ticket(id ticket.ID) string {
	return k.base(k.partition(id)) + id.String()
}

// aside is the name under which another program's hash is kept that had the ticket's name and is older than the ticket.
func (k keys) aside(id ticket.ID) string {
	return k.base(k.partition(id)) + asideName + id.String()
}

const asideName = "aside:"

// asideID finds the ticket whose hash was set aside under that name.
func (k keys) asideID(name string) (ticket.ID, bool) {
	id, err := ticket.ParseID(name[strings.LastIndexByte(name, ':')+1:])
	return id, err == nil && k.aside(id) == name
}

func (k keys) dirty(partition int) string { return k.base(partition) + "dirty" }
func (k keys) dead(partition int) string  { return k.base(partition) + "dead" }
func (k keys) meta(partition int) string  { return k.base(partition) + "meta" }

// probe is the name of a key that is never left behind.
func (k keys) probe(partition int) string { return k.base(partition) + "probe" }

// graves is the set of tombstones of the ticket's bucket. A bucket is as many ids of one partition as Redis keeps in an intset by
// default (set-max-intset-entries), where an id takes 2 to 8 bytes.
func (k keys) graves(id ticket.ID) string {
	bucket := int64(id) / (graves.Bucket * int64(k.partitions))
	return k.base(k.partition(id)) + "gone:" + strconv.FormatInt(bucket, 10)
}

func (k keys) request(partition int, requestID string) string {
	return k.base(partition) + "req:" + requestID
}

// reservation is the keys that say which ticket a request id stands for, and for which request. They lie in a partition of their
// own: that of the ticket is not known to who repeats a create, as a new id is proposed each time, nor to who uses the id for
// another ticket.
func (k keys) reservation(requestID string) (partition int, names []string) {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(requestID))                 // never fails
	partition = int(hash.Sum32() % uint32(k.partitions)) //nolint:gosec // a small number
	base := k.base(partition)
	return partition, []string{base + "id:" + requestID, base + "asked:" + requestID}
}
