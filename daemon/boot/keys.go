package boot

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

// namedFor is how long daemons with other keys count since they were last seen: they name these every [inspectEvery].
const namedFor = 3 * inspectEvery

// otherKeys knows which daemons work for the same table and keep its tickets under other keys in Redis. One goroutine uses it,
// but for warnings.
type otherKeys struct {
	filling string
	since   time.Time // this daemon has known the filling
	others  atomic.Pointer[string]
}

// look names this daemon's keys beside the table, and looks who else has since. Daemons that meet an emptied Redis name its new
// filling at their next look, before which they have found it.
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
		text = "daemons of this table keep its tickets under other keys in Redis, so that they and this one do not see each other's " +
			"changes: " + strings.Join(others, "; ") + "; this one is " + s.keys + ": give all of them the same [redis] and key_prefix"
		if before == nil || *before != text {
			s.log.Error().Msg(text)
		}
	}
	k.others.Store(&text)
	return nil
}

// warnings names them.
func (k *otherKeys) warnings() []string {
	if text := k.others.Load(); text != nil && *text != "" {
		return []string{*text}
	}
	return nil
}

// whereKeys says for people which keys of which Redis a site's tickets have.
func whereKeys(c *config.Config, site string) string {
	r := &c.Redis
	where := r.Addr
	switch {
	case len(r.Cluster) > 0:
		where = "the cluster of " + r.Cluster[0]
	case len(r.Sentinels) > 0:
		where = r.MasterName + " of the sentinel " + r.Sentinels[0]
	}
	return fmt.Sprintf("key_prefix %q, redis.db %d at %s", c.Sites[site].KeyPrefix, r.DB, where)
}
