package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/protocol"
)

// repeatable are the commands that --all runs for each site. Of the others, some show all sites themselves, and the rest are
// about a ticket, or a decision that differs from site to site.
var repeatable = []string{
	"ticketd flush", "ticketd list", "ticketd count", "ticketd dead list", "ticketd migrate", "ticketd verify",
	"ticketd identity move", "ticketd journal salvage",
}

// overviews are the commands that show all sites without --site.
var overviews = []string{"ticketd status", "ticketd doctor", "ticketd identity", "ticketd journal pending"}

// everySite gives --all its meaning in all commands below parent. Commands with an --all of their own keep it.
func (o *options) everySite(parent *cobra.Command) {
	for _, c := range parent.Commands() {
		o.everySite(c)
		run := c.RunE
		if run == nil {
			continue
		}
		path := c.CommandPath()
		c.RunE = func(cmd *cobra.Command, args []string) error {
			switch {
			case !o.all || slices.Contains(overviews, path):
				return run(cmd, args)
			case o.site != "":
				return &usageError{errors.New("--all and --site: use only one of them")}
			case !slices.Contains(repeatable, path):
				return &usageError{fmt.Errorf("--all: '%s' is for one site: name it with --site", path)}
			}
			if flag := cmd.Flags().Lookup("config"); flag != nil {
				o.config = flag.Value.String()
			}
			return o.forAll(cmd.Context(), func(context.Context) error { return run(cmd, args) })
		}
	}
}

// forAll runs a command for each site of the configuration. A site's failure keeps no other site from its turn.
func (o *options) forAll(ctx context.Context, run func(context.Context) error) error {
	names, err := o.siteNames(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, name := range names {
		o.site = name
		fmt.Fprintf(o.err, "%s:\n", name)
		if err := run(ctx); err != nil {
			failed = append(failed, fmt.Errorf("site %s: %w", name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	o.site = ""
	return errors.Join(failed...)
}

// chosen returns the names of the site of --site, or of all sites.
func (o *options) chosen(c *config.Config) ([]string, error) {
	if o.site == "" {
		return c.SiteNames(), nil
	}
	name, err := siteName(c, o.site)
	return []string{name}, err
}

// siteNames reads the sites' names from the configuration.
func (o *options) siteNames(ctx context.Context) ([]string, error) {
	f := configFlags{path: cmp.Or(o.config, envOr("TICKETD_CONFIG", config.DefaultPath))}
	c, err := f.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("the names of all sites: %w; run the command as root, or name a site with --site", err)
	}
	return c.SiteNames(), nil
}

// overview shows a line for each site.
func (o *options) overview(ctx context.Context, format string) error {
	names, err := o.siteNames(ctx)
	if err != nil {
		return err
	}
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		table := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
		if format == "table" {
			fmt.Fprintln(table, "SITE\tSTORE\tMYSQL\tPENDING\tOLDEST\tDEAD\tJOURNAL\tSPOOL\tWARNINGS")
		}
		failed := 0
		for _, name := range names {
			c.Site = name
			status, err := c.Status(ctx)
			if err != nil {
				failed++
			}
			if refused := (*protocol.Error)(nil); err != nil && !errors.As(err, &refused) {
				return err // the connection is lost
			}
			if err := writeLine(o.out, table, format, name, &status, err); err != nil {
				return err
			}
		}
		if failed > 0 {
			return errors.Join(table.Flush(), fmt.Errorf("%d of %d sites do not answer", failed, len(names)))
		}
		return table.Flush()
	})
}

func writeLine(out, table io.Writer, format, name string, s *protocol.StatusResult, failed error) error {
	switch {
	case format == "json" && failed != nil:
		return json.NewEncoder(out).Encode(map[string]any{"site": name, "error": failed.Error()})
	case format == "json":
		return json.NewEncoder(out).Encode(statusJSON(s))
	case failed != nil:
		_, err := fmt.Fprintf(table, "%s\t%s\n", name, oneLine(failed.Error()))
		return err
	}
	_, err := fmt.Fprintf(table, "%s\t%s %s\t%s\t%d\t%v\t%d\t%d\t%d\t%d\n", name, s.Backend, s.Store.State, s.Sink.State, s.Dirty,
		millis(s.OldestDirtyMS).Round(time.Second), s.Dead, s.Journal.Entries, s.Spool.Files, len(s.Warnings))
	return err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// loadSite reads the configuration and returns the name of the site of --site, or of the only site.
func (o *options) loadSite(ctx context.Context, f *configFlags) (c *config.Config, name string, err error) {
	if c, err = f.load(ctx); err != nil {
		return nil, "", err
	}
	name, err = siteName(c, o.site)
	return c, name, err
}

// siteName returns the name of the site of --site, or of the only site.
func siteName(c *config.Config, name string) (string, error) {
	if name == "" && len(c.Sites) == 1 {
		name = c.SiteNames()[0]
	}
	if _, there := c.Sites[name]; !there {
		return "", &usageError{fmt.Errorf("--site %q: the configuration has %v", name, c.SiteNames())}
	}
	return name, nil
}
