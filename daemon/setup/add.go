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

// joined is the text with the site's section behind it.
func joined(text []byte, d *draft) (string, error) {
	var b strings.Builder
	b.WriteString(strings.TrimRight(string(text), "\n") + "\n\n")
	err := sectionTemplate.Execute(&b, d)
	return b.String(), err
}
