package boot

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

// namedFor is how long a daemon with other keys counts after its last sign of life: a daemon names its keys every [inspectEvery].
const namedFor = 3 * inspectEvery

// otherKeys knows which daemons work for the same table and keep the table's tickets under other keys in Redis. Only a single
// goroutine uses otherKeys, except for warnings.
type otherKeys struct {
	filling string
	since   time.Time // this daemon has known the filling
	others  atomic.Pointer[string]
}

// look names this daemon's keys beside the table, and reads the names that other daemons have left there since. After Redis was
// emptied each daemon finds the new filling before its next look, and names the new filling with that look.
func (k *otherKeys) look(ctx context.Context, s *runningSite) error {
	filling := s.backend.redis.Filling()
	if filling == "" {
		return nil
	}
	if filling != k.filling {
		k.filling, k.since = filling, time.Now()
	}
	others, err := s.database.Witness(ctx, filling, s.keys, min(time.Since(k.since), namedFor))
	if err != nil {
		return err
	}
	before, text := k.others.Load(), ""
	if len(others) > 0 {
		text = "daemons of this table keep its tickets under other keys in Redis, so that those daemons and this daemon do not see " +
			"each other's changes: " + strings.Join(others, "; ") + "; this daemon is " + s.keys + ": give all daemons the same [redis] " +
			"and key_prefix"
		if before == nil || *before != text {
			s.log.Error().Msg(text)
		}
	}
	k.others.Store(&text)
	return nil
}

// warnings names the other keys.
func (k *otherKeys) warnings() []string {
	if text := k.others.Load(); text != nil && *text != "" {
		return []string{*text}
	}
	return nil
}

// whereKeys describes to operators which keys of which Redis a site's tickets have.
func whereKeys(c *config.Config, site string) string {
	return fmt.Sprintf("key_prefix %q, redis.db %d at %s", c.Sites[site].KeyPrefix, c.Redis.DB, redisAddress(&c.Redis))
}

// redisAddress names a Redis to operators.
func redisAddress(r *config.Redis) string {
	switch {
	case len(r.Cluster) > 0:
		return "the cluster of " + r.Cluster[0]
	case len(r.Sentinels) > 0:
		return r.MasterName + " of the sentinel " + r.Sentinels[0]
	default:
		return r.Addr
	}
}
