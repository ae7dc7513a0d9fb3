package mysql

import (
	"context"
	"hash/fnv"
	"time"
)

// Daemons of one site that keep its tickets under different keys (another key_prefix, database or server of Redis) do not see
// each other's changes, and nothing in Redis can tell: each finds its own keys only. What they share is the table. So each
// daemon writes beside the table's identity under which filling of which keys it works, again and again, and looks who else
// has.

// fillingRows is where the rows of fillings begin, above those of marks.
const fillingRows int64 = 1 << 62

// Witness writes that a daemon works with this filling of the store's keys, described for people, and returns how the
// fillings are described that other daemons have named within that time. Where this user may not write there, nobody is
// named.
func (db *DB) Witness(ctx context.Context, filling, described string, within time.Duration) (others []string, err error) {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(filling)) // never fails
	row := int64(hash.Sum64()>>2) | fillingRows
	text := []rune(described)
	err = db.identities(ctx, func(i identities) error {
		_, err := i.query(ctx, "INSERT INTO "+i.name()+" (id, identity, server, accepted) VALUES (?, ?, ?, UTC_TIMESTAMP()) "+
			"ON DUPLICATE KEY UPDATE server = VALUES(server), accepted = VALUES(accepted)",
			row, filling, string(text[:min(len(text), maxPlace)]))
		if err != nil {
			return err
		}
		rows, err := i.query(ctx, "SELECT server FROM "+i.name()+" WHERE id >= ? AND identity <> ? AND "+
			"accepted > UTC_TIMESTAMP() - INTERVAL ? SECOND ORDER BY id", fillingRows, filling, int64(within.Seconds()))
		for _, r := range rows {
			others = append(others, r[0])
		}
		return err
	})
	if mayNot(err) || missing(err) {
		return nil, nil
	}
	return others, db.failure("name the keys", err)
}
