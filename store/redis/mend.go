package redis

import (
	"context"
	"strings"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
)

// isOdd says that a ticket's hash has a revision that none can be: something else has written it. Believed, it would be the
// least of all later revisions of the site.
func isOdd(hash map[string]string) bool {
	for name, value := range hash {
		mark := strings.HasPrefix(name, markPrefix)
		if name != fieldRevision && !mark {
			continue
		}
		_, err := ticket.ParseRevision(value)
		if err != nil && (!mark || strings.Trim(value, "0123456789") == "") { // what is no number is no mark of ours
			return true
		}
	}
	return false
}

// mend gives those of the tickets whose hashes are odd a revision above all others, as what they hold may wait for the sink, and
// returns the hashes as they are then. One that cannot be mended now is left as it is: revision reads it as the lowest.
func (s *Store) mend(ctx context.Context, ids []ticket.ID, hashes []map[string]string) {
	for i, hash := range hashes {
		if !isOdd(hash) {
			continue
		}
		key, p := s.keys.ticket(ids[i]), s.keys.partition(ids[i])
		if s.opts.OnOdd != nil {
			s.opts.OnOdd(key)
		}
		given, err := s.run(ctx, mendScript, p, []string{key, s.keys.meta(p)}, int64(s.opts.Clock.Propose())).Int64()
		if err != nil || given == 0 {
			continue
		}
		s.opts.Clock.Observe(ticket.Revision(given))
		if again, err := s.client.HGetAll(ctx, key).Result(); err == nil {
			hashes[i] = again
		}
	}
}

// mendHighest forgets, in partitions whose filling is known, a highest revision that none can be: the sink's takes its place, as
// when Redis was found empty.
func (s *Store) mendHighest(ctx context.Context, metas []*goredis.SliceCmd) {
	for p, command := range metas {
		meta, err := command.Result()
		if err != nil || len(meta) == 0 || meta[0] == nil || meta[0] != s.knownEpoch(p) {
			continue
		}
		text, is := meta[2].(string)
		if _, err := ticket.ParseRevision(text); !is || err == nil {
			continue
		}
		if s.opts.OnOdd != nil {
			s.opts.OnOdd(s.keys.meta(p))
		}
		names := guardedKeys(s, p, []string{s.keys.meta(p)}) // not by run: the caller holds seeding
		if unsureScript.Run(ctx, s.client, names, meta[0]).Err() == nil {
			s.floorless.Store(true)
		}
	}
}
