package link

import (
	"slices"
	"strconv"
	"strings"

	goredis "github.com/redis/go-redis/v9"
)

// clusterPartitions is how many partitions a site has in a Redis Cluster. The number is a part of the layout, as the name of a
// ticket's key depends on the number, and so is no setting. The number bounds how many masters can share a site's tickets.
const clusterPartitions = 32

// Partitions is the number of partitions of a site's keys. Each partition lies on one master.
func Partitions(cluster bool) int {
	if cluster {
		return clusterPartitions
	}
	return 1
}

// The hash tag of a partition is {t21} or the like, whatever the site: the same partition of all sites is on the same master.
const tagStart, tagEnd = "{t", "}"

// clusterTags are the numbers in the partitions' hash tags. Each number is the lowest whose slot lies in the partition's share of
// the 16,384 slots, so that masters with the same number of slots get the same number of partitions; {t0} to {t31} would give
// half of the partitions to one of three masters.
var clusterTags = [clusterPartitions]int{
	21, 3, 10, 153, 50, 43, 61, 72, 20, 2, 11, 152, 51, 42, 60, 73, 23, 1, 12, 151, 52, 41, 63, 70, 22, 0, 13, 150, 53, 40, 62, 71,
}

// HashTag is a part of the names of all keys of a partition of a cluster.
func HashTag(partition int) string { return tagStart + strconv.Itoa(clusterTags[partition]) + tagEnd }

// taggedPartition returns the partition in a key's name; false where the name has no tag of ticketd.
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

// Base is the beginning of the names of all keys of a partition. Standalone and Sentinel are a single partition without a tag.
func Base(prefix string, partitions, partition int) string {
	if partitions == 1 {
		return prefix + "ticket:"
	}
	return prefix + HashTag(partition) + ":ticket:"
}

// CommonBase is the beginning of the names of the keys of all partitions.
func CommonBase(prefix string, partitions int) string {
	if partitions == 1 {
		return prefix + "ticket:"
	}
	return prefix + tagStart
}

// partitionOf returns the partition of a command, by the command's first key.
func (w *Watch) partitionOf(cmd goredis.Cmder) (partition int, known bool) {
	if len(w.reasons) == 1 {
		return 0, true
	}
	args, at := cmd.Args(), 1
	if name := cmd.Name(); name == "evalsha" || name == "eval" {
		at = 3
	}
	if len(args) <= at {
		return 0, false
	}
	key, _ := args[at].(string)
	partition, tagged := taggedPartition(key)
	return partition, tagged && partition < len(w.reasons)
}
