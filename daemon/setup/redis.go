package setup

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pelletier/go-toml/v2"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/wpconfig"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// lookTimeout bounds the queries to a Redis.
const lookTimeout = time.Second

// foundRedis is a Redis that answers.
type foundRedis struct {
	Addr, User, Password string
	TLS                  bool
	CA                   string // a file, if the CA is not one of the system's
	// Database and Prefix are the chosen place of the site's keys.
	Database int
	Prefix   string
	// Notes are recommended changes of this Redis.
	Notes []string

	info    map[string]string // Redis' INFO
	open    func(database int) *goredis.Client
	trouble error // the last error
}

// findRedis returns the Redis in the options, or the first Redis that answers; nil if none does.
func findRedis(ctx context.Context, o *Options, wp *wpconfig.Config) (*foundRedis, error) {
	if o.Redis == "none" {
		o.Say("Redis: none, as requested; the journal keeps pending changes")
		return nil, nil //nolint:nilnil // none is an answer
	}
	logins, err := o.redisLogins(wp)
	if err != nil {
		return nil, err
	}
	for i := range logins {
		login := &logins[i]
		if path, unix := strings.CutPrefix(login.Addr, "unix://"); unix && o.Redis == "" && !there(path) {
			continue
		}
		found, err := lookAt(ctx, login)
		if err == nil {
			for _, note := range found.Notes {
				o.Say("note: %s", note)
			}
			return found, nil
		}
		if o.Redis != "" {
			return nil, fmt.Errorf("--redis %s: %w", o.Redis, remedy(err, login))
		}
		o.Say("Redis at %s is not used: %v", login.Addr, remedy(err, login))
	}
	o.Say("Redis: none found; the journal keeps pending changes, which is enough for a single host")
	return nil, nil //nolint:nilnil // none is an answer
}

// redisLogins returns the places to look for a Redis, each with its login: the object cache's, and the usual ones.
func (o *Options) redisLogins(wp *wpconfig.Config) ([]config.Redis, error) {
	cache := config.Redis{
		Addr: cacheAddr(&wp.Redis), Username: wp.Redis.User, Password: config.Secret(wp.Redis.Password), TLS: wp.Redis.TLS,
	}
	named, err := o.redisFlags()
	if err != nil {
		return nil, err
	}
	if o.Redis == "" {
		if named.Username+named.Password.Reveal()+named.TLSCA != "" {
			return nil, errors.New("--redis-user, --redis-password-file and --redis-ca belong to a --redis")
		}
		var all []config.Redis
		if cache.Addr != "" {
			all = append(all, cache)
		}
		for _, addr := range o.Places.Redis {
			if addr != cache.Addr {
				all = append(all, config.Redis{Addr: addr})
			}
		}
		return all, nil
	}
	named.Addr = o.Redis
	for _, scheme := range []string{"tls://", "rediss://"} {
		if addr, secure := strings.CutPrefix(o.Redis, scheme); secure {
			named.Addr, named.TLS = addr, true
		}
	}
	named.TLS = named.TLS || named.TLSCA != ""
	if named.Addr == cache.Addr {
		named.TLS = named.TLS || cache.TLS
		if named.Username == "" && named.Password == "" {
			named.Username, named.Password = cache.Username, cache.Password
		}
	}
	return []config.Redis{named}, nil
}

// redisFlags returns the login of the command line, without the address.
func (o *Options) redisFlags() (named config.Redis, err error) {
	if o.RedisPasswordFile != "" {
		text, err := eyes{}.Read(o.RedisPasswordFile)
		if err != nil {
			return named, fmt.Errorf("--redis-password-file: %w", err)
		}
		named.Password = config.Secret(strings.TrimRight(string(text), "\r\n"))
	}
	named.Username = o.RedisUser
	if o.RedisCA != "" {
		named.TLSCA, err = filepath.Abs(o.RedisCA)
	}
	return named, err
}

// remedy adds to an error of Redis what to do about it.
func remedy(err error, login *config.Redis) error {
	text := err.Error()
	var unknown x509.UnknownAuthorityError
	switch {
	case strings.HasPrefix(text, "NOAUTH"), strings.HasPrefix(text, "WRONGPASS"):
		return fmt.Errorf("%w; --redis %s --redis-password-file FILE gives the password, --redis-user NAME the user", err, login.Addr)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w; --redis-ca FILE names the CA that signed the certificate", err)
	case !login.TLS && errors.Is(err, io.EOF), !login.TLS && errors.Is(err, syscall.ECONNRESET):
		return fmt.Errorf("%w; if this Redis expects TLS, write --redis tls://%s", err, login.Addr)
	case errors.As(err, new(tls.RecordHeaderError)):
		return fmt.Errorf("%w; this Redis does not speak TLS", err)
	default:
		return err
	}
}

// formerDatabase returns the database of the same Redis in the configuration to replace: another database would leave pending
// changes behind and separate this host from the site's other hosts.
func formerDatabase(file, addr string) (database int, named bool) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	var former struct {
		Redis struct {
			Addr string `toml:"addr"`
			DB   int    `toml:"db"`
		} `toml:"redis"`
	}
	if toml.Unmarshal(text, &former) != nil || former.Redis.Addr != addr {
		return 0, false
	}
	return former.Redis.DB, true
}

// cacheAddr returns the address of an object cache's Redis; empty without an object cache.
func cacheAddr(r *wpconfig.Redis) string {
	switch {
	case r.Path != "":
		return "unix://" + r.Path
	case strings.HasPrefix(r.Host, "/"):
		return "unix://" + r.Host
	case r.Host != "" && r.Port != "":
		return net.JoinHostPort(r.Host, r.Port)
	case r.Host != "":
		return net.JoinHostPort(r.Host, "6379")
	default:
		return ""
	}
}

// lookAt checks that a Redis is fit for ticketd.
func lookAt(ctx context.Context, login *config.Redis) (*foundRedis, error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	network, address := login.Network()
	secure, err := login.TLSConfig()
	if err != nil {
		return nil, err
	}
	open := func(database int) *goredis.Client {
		return goredis.NewClient(&goredis.Options{
			Network: network, Addr: address, Username: login.Username, Password: login.Password.Reveal(), TLSConfig: secure,
			DB: database, MaxRetries: -1, DialerRetries: 1,
			DialTimeout: lookTimeout, ReadTimeout: lookTimeout, ContextTimeoutEnabled: true,
		})
	}
	client := open(0)
	defer func() { _ = client.Close() }()
	if err := client.Ping(ctx).Err(); err != nil {
		return nil, err
	}
	info, err := link.Info(ctx, client)
	if err != nil {
		return nil, err
	}
	switch {
	case info["role"] != "master":
		return nil, fmt.Errorf("this Redis is a %s, which refuses writes; name its master with --redis", info["role"])
	case strings.HasPrefix(info["maxmemory_policy"], "allkeys-"):
		return nil, fmt.Errorf("maxmemory-policy is %s, which evicts tickets that MySQL does not have yet; set volatile-lru",
			info["maxmemory_policy"])
	case info["cluster_enabled"] == "1":
		return nil, errors.New("this Redis is a node of a Redis Cluster; write the configuration by hand, see docs/configure.md")
	}
	if err := link.Probe(ctx, client, false); err != nil {
		return nil, fmt.Errorf("this Redis %s refuses a command that ticketd needs (Redis %s or later, with all commands that scripts "+
			"write and read with): %w", info["redis_version"], link.Least, err)
	}
	notes, _, err := link.Inspect(ctx, client)
	if err != nil {
		return nil, err
	}
	return &foundRedis{
		Addr: login.Addr, User: login.Username, Password: login.Password.Reveal(), TLS: login.TLS, CA: login.TLSCA,
		Notes: notes, info: info, open: open,
	}, nil
}

// owner is the table that the keys must belong to: by its identity, or, without an identity yet, by its name.
type owner struct{ identity, name string }

func (o owner) is(of string) bool { return of != "" && (of == o.identity || of == o.name) }

// databases is Redis' default number of databases; a Redis with fewer refuses the higher numbers.
const databases = 16

// choose picks the database and the prefix of the site's keys, in this order: keys that belong to this table already, from
// another host of the site or an earlier run; an empty database, because cache plugins empty their own; a prefix of the site
// in database 0. choose marks the place in Redis at once, so that a concurrent setup does not pick the same place.
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

// find searches for keys that belong to the table already: first under the likely prefixes, then under all prefixes, because
// another host's configuration may use another name for the site.
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

// take marks keys for the table, unless the keys belong to another table.
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
