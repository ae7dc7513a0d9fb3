package redis

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store/redis/link"
)

// Owner is the table to which a site's keys belong.
type Owner struct {
	// Identity identifies the table.
	Identity string
	// Former is the name of the table in earlier versions: keys of that owner are taken over. Empty without such a name.
	Former string
}

// ownerField is the field of the meta hash that names the owner.
const ownerField = "owner"

// Keys are the keys of a site, for commands that read or change the owner of the keys.
type Keys struct {
	client goredis.UniversalClient
	keys   keys
}

// NewKeys names a site's keys.
func NewKeys(client goredis.UniversalClient, prefix string, cluster bool) *Keys {
	return &Keys{client: client, keys: keys{prefix: prefix, partitions: link.Partitions(cluster)}}
}

// Owner returns the identity of the table to which the keys belong, or the table's name where an earlier version has written the
// name; empty while the keys belong to no table.
func (k *Keys) Owner(ctx context.Context) (string, error) {
	for p := range k.keys.partitions {
		owner, err := k.client.HGet(ctx, k.keys.meta(p), ownerField).Result()
		if err != nil && !errors.Is(err, goredis.Nil) {
			return "", link.Wrap("look for the owner", err)
		}
		if owner != "" {
			return owner, nil
		}
	}
	return "", nil
}

// Reserve gives the keys to a table if the keys belong to no table yet, and returns the owner.
func (k *Keys) Reserve(ctx context.Context, identity string) (owner string, err error) {
	for p := range k.keys.partitions {
		meta := k.keys.meta(p)
		if err := k.client.HSetNX(ctx, meta, ownerField, identity).Err(); err != nil {
			return "", link.Wrap("reserve the keys", err)
		}
		if owner, err = k.client.HGet(ctx, meta, ownerField).Result(); err != nil || owner != identity {
			return owner, link.Wrap("reserve the keys", err)
		}
	}
	return owner, nil
}

// Adopt gives the keys, with all pending changes, to a table, whoever the owner was.
func (k *Keys) Adopt(ctx context.Context, identity string) error {
	for p := range k.keys.partitions {
		if err := adoptScript.Run(ctx, k.client, []string{k.keys.meta(p)}, identity, rand.Text()).Err(); err != nil {
			return link.Wrap("adopt the keys", err)
		}
	}
	return nil
}

// metaPattern is SCAN's pattern for the meta hashes of all sites; each name begins with the site's prefix.
const metaPattern = "*ticket:meta"

// Prefixes returns the prefixes under which a database of one server (no cluster) has keys of sites. Prefixes reads the names of
// all keys, as no place lists the prefixes that sites have chosen.
func Prefixes(ctx context.Context, client goredis.UniversalClient) ([]string, error) {
	const perCall = 5000
	var prefixes []string
	names := client.Scan(ctx, 0, metaPattern, perCall).Iterator()
	for names.Next(ctx) {
		prefix := strings.TrimSuffix(names.Val(), metaPattern[1:])
		if (keys{prefix: prefix, partitions: 1}).meta(0) == names.Val() && !slices.Contains(prefixes, prefix) {
			prefixes = append(prefixes, prefix)
		}
	}
	slices.Sort(prefixes)
	return prefixes, link.Wrap("look for sites' keys", names.Err())
}

// Prefix is the beginning of all names of the keys in the first partition.
func (k *Keys) Prefix() string { return k.keys.base(0) }
