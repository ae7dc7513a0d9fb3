package setup

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/store/redis"
)

//go:embed site.toml.tmpl
var section string

var sectionTemplate = template.Must(template.New("site.toml").Funcs(template.FuncMap{"line": line}).Parse(section))

// add adds a site to the configuration, whose text stays as it is, its comments included.
func (o *Options) add(ctx context.Context) error {
	text, err := os.ReadFile(o.Config)
	if err != nil {
		return fmt.Errorf("--add: %w; without --add a configuration is written", err)
	}
	before, err := config.Load(o.Config, os.Environ(), o.Set)
	if err != nil {
		return fmt.Errorf("--add: the configuration that is there cannot be used: %w", err)
	}
	if _, there := before.Sites[o.Site]; there {
		return fmt.Errorf("--add: %s has a site %s already: choose another name", o.Config, o.Site)
	}
	d, _, err := o.draft(ctx)
	if err != nil {
		return err
	}
	const tentative = "ticketd-init:" // so that the rest can be checked before a prefix is chosen, and marked in Redis
	d.KeyPrefix = tentative
	c, err := o.try(joined(text, d))
	if err != nil {
		return err
	}
	own, err := o.table(ctx, c.Sites[o.Site])
	if err != nil {
		return err
	}
	if d.KeyPrefix = ""; c.HasRedis() {
		if d.KeyPrefix, err = o.prefixIn(ctx, c, own); err != nil {
			return err
		}
		o.Say("Redis: that of the other sites, keys %sticket:*", d.KeyPrefix)
	}
	whole, err := joined(text, d)
	if err != nil {
		return err
	}
	o.Force, o.keep = true, false // what is replaced is in what replaces it
	return o.write(whole, o.check)
}

// prefixIn chooses a prefix in the configuration's Redis.
func (o *Options) prefixIn(ctx context.Context, c *config.Config, own owner) (string, error) {
	client, err := boot.OpenRedis(c)
	if err != nil {
		return "", err
	}
	defer func() { _ = client.Close() }()
	if err := notElsewhere(ctx, c, own); err != nil {
		return "", err
	}
	var taken []string
	for name, s := range c.Sites {
		if name != o.Site {
			taken = append(taken, s.KeyPrefix)
		}
	}
	prefix, err := choosePrefix(ctx, client, len(c.Redis.Cluster) > 0, o.Site, own, taken)
	if err != nil {
		return "", errors.Join(errors.New("the configuration's Redis cannot be used for another site"), err)
	}
	return prefix, nil
}

// notElsewhere refuses where the table's keys are in another database of the same Redis: its two hosts, or its former
// configuration and this one, would not see each other's changes.
func notElsewhere(ctx context.Context, c *config.Config, own owner) error {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	for n := 0; n < databases && len(c.Redis.Cluster) == 0; n++ {
		if n == c.Redis.DB {
			continue
		}
		other := *c
		other.Redis.DB = n
		prefix, there, err := placeOf(ctx, &other, own)
		if err != nil {
			break // it has fewer databases, or this user may not look: what the site needs is looked at by itself
		}
		if there {
			return fmt.Errorf("the table's keys are in database %d of this Redis already (%sticket:*), and this configuration uses %d: "+
				"all daemons of one table must use the same keys. To give those up, run 'ticketd flush' on their daemon, stop it, "+
				"remove them (redis-cli -n %[1]d --scan --pattern '%[2]sticket:*' | xargs redis-cli -n %[1]d UNLINK) and try again",
				n, prefix, c.Redis.DB)
		}
	}
	return nil
}

// placeOf finds the prefix of the table's keys in the configuration's database of Redis.
func placeOf(ctx context.Context, c *config.Config, own owner) (prefix string, there bool, err error) {
	client, err := boot.OpenRedis(c)
	if err != nil {
		return "", false, err
	}
	defer func() { _ = client.Close() }()
	prefixes, err := redis.Prefixes(ctx, client)
	for _, prefix := range prefixes {
		if of, err := redis.NewKeys(client, prefix, false).Owner(ctx); err == nil && own.is(of) {
			return prefix, true, nil
		}
	}
	return "", false, err
}

// joined is the text with the site's section behind it.
func joined(text []byte, d *draft) (string, error) {
	var b strings.Builder
	b.WriteString(strings.TrimRight(string(text), "\n") + "\n\n")
	err := sectionTemplate.Execute(&b, d)
	return b.String(), err
}
