package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/protocol"
)

// streams are where a command reads and writes.
type streams struct {
	in       *os.File
	out, err *os.File
}

// usageError is a call that no daemon could make work: wrong flags or arguments.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// defaultSocket is where the packages' systemd socket listens.
const defaultSocket = "/run/ticketd/ticketd.sock"

// options are the flags that all client commands share.
type options struct {
	streams
	socket  string
	site    string
	all     bool   // all sites of the configuration
	config  string // that has the names of all sites; empty is the default
	timeout time.Duration
}

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// call dials the daemon, runs f within the time-out, and closes the connection. Zero means no time-out.
func (o *options) call(ctx context.Context, f func(context.Context, *protocol.Client) error) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no answer within %v (--timeout)", o.timeout))
		defer cancel()
	}
	client, err := protocol.Dial(ctx, o.socket)
	if err != nil {
		return o.explain(err)
	}
	defer func() { _ = client.Close() }()
	client.Site = o.site
	if err := f(ctx, client); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// noteStale says which changes an answer may lack.
func (o *options) noteStale(stale bool, locked []int64) {
	switch {
	case len(locked) > 0:
		fmt.Fprintf(o.err, "rows are locked in MySQL: the latest changes of tickets %v are missing from this answer\n", locked)
	case stale:
		fmt.Fprintln(o.err, "Redis does not answer: changes pending in Redis may be missing from this answer")
	}
}

// explain adds advice to a failed dial.
func (o *options) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no daemon listens on %s: start it with 'systemctl start ticketd' or 'ticketd serve', "+
			"or name the daemon's socket with --socket", o.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon listens on %s: start the daemon again and look at its log", o.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not use %s: run the command as root, or as a member of the socket's group", o.socket)
	default:
		return err
	}
}

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
