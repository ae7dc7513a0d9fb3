package setup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/store/redis"
)

// owner is whom keys in Redis must belong to: a table, by its identity, or by its name where it has none yet.
type owner struct{ identity, name string }

func (o owner) is(of string) bool { return of != "" && (of == o.identity || of == o.name) }

// databases is how many a Redis has unless redis.conf says otherwise; one that has fewer refuses the others.
const databases = 16

// choose picks the database and the prefix of the site's keys, and marks them as this table's at once, so that no other setup
// that runs meanwhile picks the same: those that are this table's already, as another host of the site has them or an earlier
// run; else an empty database, as cache plugins empty theirs; else a prefix of the site's own in database 0.
func (f *foundRedis) choose(ctx context.Context, o *Options, own owner, cache string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	named := o.Site + ":"
	if former, there := formerDatabase(o.Config, f.Addr); there && f.take(ctx, former, "", own) {
		return nil
	}
	if f.find(ctx, own, "", named) {
		return nil
	}
	for n := 1; n < databases; n++ {
		if name := strconv.Itoa(n); f.info["db"+name] == "" && name != cache && f.take(ctx, n, "", own) {
			return nil
		}
	}
	if f.take(ctx, 0, "", own) || f.take(ctx, 0, named, own) {
		return nil
	}
	return errors.Join(f.trouble, fmt.Errorf("the Redis at %s has no free place for the site's keys: raise databases in redis.conf "+
		"or name another Redis with --redis", f.Addr))
}

// find looks for keys that are the table's already: under the prefixes that are likely first, as these need no search, then under
// any, as another host's configuration may call the site by another name.
func (f *foundRedis) find(ctx context.Context, own owner, prefixes ...string) bool {
	for n := range databases {
		if f.findIn(ctx, n, own, prefixes) {
			return true
		}
	}
	for n := range databases {
		if f.info["db"+strconv.Itoa(n)] == "" {
			continue
		}
		client := f.open(n)
		others, err := redis.Prefixes(ctx, client)
		_ = client.Close()
		if err == nil && f.findIn(ctx, n, own, others) {
			return true
		}
	}
	return false
}

func (f *foundRedis) findIn(ctx context.Context, database int, own owner, prefixes []string) bool {
	client := f.open(database)
	defer func() { _ = client.Close() }()
	for _, prefix := range prefixes {
		of, err := redis.NewKeys(client, prefix, false).Owner(ctx)
		if err == nil && own.is(of) {
			f.Database, f.Prefix = database, prefix
			return true
		}
	}
	return false
}

// take marks keys as the table's, unless they are another table's.
func (f *foundRedis) take(ctx context.Context, database int, prefix string, own owner) bool {
	client := f.open(database)
	defer func() { _ = client.Close() }()
	of, err := redis.NewKeys(client, prefix, false).Reserve(ctx, own.identity)
	if err != nil {
		f.trouble = err
		return false
	}
	f.Database, f.Prefix = database, prefix
	return own.is(of)
}

// choosePrefix picks the prefix of the keys of a site that is added beside others, and marks them.
func choosePrefix(
	ctx context.Context, client goredis.UniversalClient, cluster bool, site string, own owner, taken []string,
) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*lookTimeout)
	defer cancel()
	likely := []string{"", site + ":"}
	if !cluster {
		others, err := redis.Prefixes(ctx, client)
		if err != nil {
			return "", err
		}
		likely = append(likely, others...)
	}
	for _, prefix := range likely {
		if of, err := redis.NewKeys(client, prefix, cluster).Owner(ctx); err == nil && own.is(of) && !slices.Contains(taken, prefix) {
			return prefix, nil
		}
	}
	for _, prefix := range []string{site + ":", site + "-" + own.identity[:min(len(own.identity), 6)] + ":"} {
		if slices.Contains(taken, prefix) {
			continue
		}
		of, err := redis.NewKeys(client, prefix, cluster).Reserve(ctx, own.identity)
		if err != nil {
			return "", err
		}
		if own.is(of) {
			return prefix, nil
		}
	}
	return "", fmt.Errorf("the keys %s:* in Redis are another table's: choose another name for the site", site)
}
