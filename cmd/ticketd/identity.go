package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
)

func newIdentity(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "identity", Short: "Show which table a site serves and whose its places are; decide where that is in " +
			"doubt", Args: cobra.NoArgs,
		Long: "Every tickets table has an identity, in the table beside it, and its row says on which server it is. The keys in " +
			"Redis, the\n" +
			"journal and the spool carry it, so that no site ever works with another's. Where a table is elsewhere than its row says,\n" +
			"it is a copy, or it has moved, and only you can tell: until you do, the site is not served and nothing of it is lost.\n" +
			"Exits non-zero where something does not belong together.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.identity(cmd.Context(), &f) },
	}
	f.add(cmd)
	cmd.AddCommand(newIdentityMove(o), newIdentityNew(o))
	return cmd
}

func newIdentityMove(o *options) *cobra.Command {
	var f configFlags
	var yes bool
	cmd := &cobra.Command{
		Use: "move", Short: "Say that the table has moved to where it is now", Args: cobra.NoArgs,
		Long: "For a server that was replaced, renamed, or restored elsewhere, and for a site whose table the configuration has " +
			"under\n" +
			"another name or address now. The table keeps its identity. What this host's journal and spool and the site's keys in " +
			"Redis\n" +
			"hold under another identity is this table's from now on, and is flushed to this table.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.whereabouts(cmd.Context(), &f, func(w *boot.Whereabouts) error { return o.move(cmd.Context(), w, yes) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; without, this only says what would be done")
	return cmd
}

func newIdentityNew(o *options) *cobra.Command {
	var f configFlags
	var yes, withRedis bool
	cmd := &cobra.Command{
		Use: "new", Short: "Say that the table is a copy, and give it an identity of its own", Args: cobra.NoArgs,
		Long: "For a clone of a site: a staging server, a dump that was loaded elsewhere. The original is left alone. A journal that " +
			"came\n" +
			"with the copy is moved aside, as its changes are the original's.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.whereabouts(cmd.Context(), &f, func(w *boot.Whereabouts) error { return o.renewed(cmd.Context(), w, withRedis, yes) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&withRedis, "redis", false, "Redis was copied along: the site's keys in it are the copy's, too")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; without, this only says what would be done")
	return cmd
}

// whereabouts finds those of the site that was named.
func (o *options) whereabouts(ctx context.Context, f *configFlags, decide func(*boot.Whereabouts) error) (err error) {
	c, name, err := o.loadSite(f)
	if err != nil {
		return err
	}
	w, err := boot.FindWhereabouts(ctx, c, name)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	return decide(w)
}

// identity shows all sites, or the one that was named.
func (o *options) identity(ctx context.Context, f *configFlags) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	names := c.SiteNames()
	if o.site != "" {
		name, err := siteName(c, o.site)
		if err != nil {
			return err
		}
		names = []string{name}
	}
	var wrong []error
	for _, name := range names {
		w, err := boot.FindWhereabouts(ctx, c, name)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("site %s: %w", name, err))
			continue
		}
		if !o.show(w) {
			wrong = append(wrong, fmt.Errorf("site %s: not all of it belongs together: see 'ticketd identity --help'", name))
		}
		wrong = append(wrong, w.Close())
	}
	return errors.Join(wrong...)
}

// show prints what carries which identity, and says whether all of it belongs together.
func (o *options) show(w *boot.Whereabouts) (fits bool) {
	fits = true
	line := func(what, identity string, foreign bool) {
		switch {
		case identity == "":
			identity = "none yet"
		case foreign:
			identity += "   <- another table's"
			fits = false
		}
		fmt.Fprintf(o.out, "  %-12s %s\n", what, identity)
	}
	fmt.Fprintf(o.out, "%s: %s\n", w.Site, w.Name)
	line("identity", w.Table.ID, false)
	fmt.Fprintf(o.out, "  %-12s %s\n", "this is the", w.Table.Here)
	if w.Table.ID != "" && !w.Table.AtHome() {
		fmt.Fprintf(o.out, "  %-12s %s, since %s   <- a copy, or it has moved: 'ticketd identity new' or 'move'\n", "belongs to",
			w.Table.Home, w.Table.Since.Format("2006-01-02"))
		fits = false
	}
	if w.Prefix != "" {
		line("Redis keys", w.Keys, w.Foreign(w.Keys))
	}
	for _, dir := range slices.Sorted(maps.Keys(w.Journals)) {
		line("journal", w.Journals[dir], w.Foreign(w.Journals[dir]))
	}
	return fits
}

var errNotYet = errors.New("nothing was changed: say --yes if that is meant")

func (o *options) move(ctx context.Context, w *boot.Whereabouts, yes bool) error {
	fmt.Fprintf(o.err, "%s: %s belongs to the %s from now on\n", w.Site, w.Name, w.Table.Here)
	if w.Foreign(w.Keys) {
		fmt.Fprintf(o.err, "%s: the keys %s* in Redis, which carry the identity %s, and all pending changes in them, are this table's "+
			"from now on: "+
			"a site that still works with them is not served any more\n", w.Site, w.Prefix, w.Keys)
	}
	for _, dir := range slices.Sorted(maps.Keys(w.Journals)) {
		if w.Foreign(w.Journals[dir]) {
			fmt.Fprintf(o.err, "%s: the changes pending in %s are flushed to this table\n", w.Site, dir)
		}
	}
	if !yes {
		return &usageError{errNotYet}
	}
	if err := w.Move(ctx); err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%s: done, it is %s; systemctl restart ticketd\n", w.Site, w.Table.ID)
	return nil
}

func (o *options) renewed(ctx context.Context, w *boot.Whereabouts, withRedis, yes bool) error {
	fmt.Fprintf(o.err, "%s: %s is a table of its own from now on\n", w.Site, w.Name)
	if w.Table.ID != "" && w.Table.AtHome() {
		fmt.Fprintf(o.err, "%s: it is no copy, it is where it belongs: do this only where another server has become the original\n",
			w.Site)
	}
	switch {
	case w.Prefix == "" || w.Keys == "":
	case withRedis:
		fmt.Fprintf(o.err, "%s: the keys %s* in Redis are this table's from now on\n", w.Site, w.Prefix)
	default:
		fmt.Fprintf(o.err, "%s: the keys %s* in Redis stay the original's: give this site another key_prefix, redis.db or "+
			"redis.addr; or, "+
			"where Redis was copied along, say --redis\n", w.Site, w.Prefix)
	}
	for _, dir := range slices.Sorted(maps.Keys(w.Journals)) {
		if w.Journals[dir] != "" {
			fmt.Fprintf(o.err, "%s: the journal %s is the original's, and is moved aside\n", w.Site, dir)
		}
	}
	if !yes {
		return &usageError{errNotYet}
	}
	aside, err := w.Renew(ctx, withRedis)
	for _, dir := range aside {
		fmt.Fprintf(o.err, "%s: see %s, and remove it when you are sure\n", w.Site, dir)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%s: done, it is %s; systemctl restart ticketd\n", w.Site, w.Table.ID)
	return nil
}
