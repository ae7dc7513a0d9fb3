package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/sync/mysql"
)

// recoveryCommands are for places that have moved, were restored, or are damaged.
func recoveryCommands(o *options) []*cobra.Command {
	return []*cobra.Command{newIdentity(o), newRestore(o), newJournal(o), newSpool(o)}
}

func newIdentity(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "identity", Short: "Show which table a site serves and which table its places belong to; decide in case of " +
			"doubt", Args: cobra.NoArgs,
		Long: "Every tickets table has an identity, in the table beside it, with the server of the table. The keys in " +
			"Redis, the\n" +
			"journal and the spool carry the identity, so that no site uses another site's data. A table on a different server\n" +
			"is a copy, or has moved, and only you can say which: until then the site is not served and no change is lost.\n" +
			"Exits non-zero if places of a site have different identities.",
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
		Long: "For a server that was replaced, renamed, or restored elsewhere, and for a site whose table has another name or " +
			"address\n" +
			"in the configuration now. The table keeps its identity. Changes in this host's journal and spool and in the site's keys in " +
			"Redis\n" +
			"under another identity belong to this table from now on, and are flushed to this table.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.whereabouts(cmd.Context(), &f, func(w *boot.Whereabouts) error { return o.move(cmd.Context(), w, yes) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; without --yes, only say what would be done")
	return cmd
}

func newIdentityNew(o *options) *cobra.Command {
	var f configFlags
	var yes, withRedis bool
	cmd := &cobra.Command{
		Use: "new", Short: "Say that the table is a copy, and give it an identity of its own", Args: cobra.NoArgs,
		Long: "For a clone of a site: a staging server, a dump that was loaded elsewhere. The original is left alone. A journal that " +
			"came\n" +
			"with the copy is moved aside, because its changes belong to the original.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.whereabouts(cmd.Context(), &f, func(w *boot.Whereabouts) error { return o.renewed(cmd.Context(), w, withRedis, yes) })
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&withRedis, "redis", false, "Redis was copied, too: the site's keys in the copied Redis belong to the copy")
	cmd.Flags().BoolVar(&yes, "yes", false, "do it; without --yes, only say what would be done")
	return cmd
}

// whereabouts calls decide with the whereabouts of the site named by --site.
func (o *options) whereabouts(ctx context.Context, f *configFlags, decide func(*boot.Whereabouts) error) (err error) {
	c, name, err := o.loadSite(ctx, f)
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

// identity shows all sites, or the site named by --site.
func (o *options) identity(ctx context.Context, f *configFlags) error {
	c, err := f.load(ctx)
	if err != nil {
		return err
	}
	names, err := o.chosen(c)
	if err != nil {
		return err
	}
	var wrong []error
	for _, name := range names {
		w, err := boot.FindWhereabouts(ctx, c, name)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("site %s: %w", name, err))
			continue
		}
		if !o.show(w) {
			wrong = append(wrong, fmt.Errorf("site %s: not all places have the same identity: see 'ticketd identity --help'", name))
		}
		wrong = append(wrong, w.Close())
	}
	return errors.Join(wrong...)
}

// show prints the identity of each place and reports whether all places fit together.
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
		fmt.Fprintf(o.out, "  %-12s %s, since %s   <- a copy, or moved: 'ticketd identity new' or 'move'\n", "belongs to",
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

var errNotYet = errors.New("nothing was changed: add --yes to confirm")

func (o *options) move(ctx context.Context, w *boot.Whereabouts, yes bool) error {
	fmt.Fprintf(o.err, "%s: %s belongs to the %s from now on\n", w.Site, w.Name, w.Table.Here)
	if w.Foreign(w.Keys) {
		fmt.Fprintf(o.err, "%s: the keys %s* in Redis, which carry the identity %s, and all pending changes in them, are this table's "+
			"from now on: "+
			"another site that still uses these keys is no longer served\n", w.Site, w.Prefix, w.Keys)
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
	fmt.Fprintf(o.err, "%s: done, the identity is %s; systemctl restart ticketd\n", w.Site, w.Table.ID)
	return nil
}

func (o *options) renewed(ctx context.Context, w *boot.Whereabouts, withRedis, yes bool) error {
	fmt.Fprintf(o.err, "%s: %s is a table of its own from now on\n", w.Site, w.Name)
	if w.Table.ID != "" && w.Table.AtHome() {
		fmt.Fprintf(o.err, "%s: the table is on its own server, not a copy: continue only if another server has become the original\n",
			w.Site)
	}
	switch {
	case w.Prefix == "" || w.Keys == "":
	case withRedis:
		fmt.Fprintf(o.err, "%s: the keys %s* in Redis are this table's from now on\n", w.Site, w.Prefix)
	default:
		fmt.Fprintf(o.err, "%s: the keys %s* in Redis stay the original's: give this site another key_prefix, redis.db or "+
			"redis.addr; or, "+
			"if Redis was copied, too, add --redis\n", w.Site, w.Prefix)
	}
	for _, dir := range slices.Sorted(maps.Keys(w.Journals)) {
		if w.Journals[dir] != "" {
			fmt.Fprintf(o.err, "%s: the journal %s belongs to the original and is moved aside\n", w.Site, dir)
		}
	}
	if !yes {
		return &usageError{errNotYet}
	}
	aside, err := w.Renew(ctx, withRedis)
	for _, dir := range aside {
		fmt.Fprintf(o.err, "%s: check %s, and remove it when you are sure\n", w.Site, dir)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%s: done, the identity is %s; systemctl restart ticketd\n", w.Site, w.Table.ID)
	return nil
}

// The sides that may win after a restore.
const (
	preferMySQL = "mysql"
	preferRedis = "redis"
)

func newRestore(o *options) *cobra.Command {
	var f configFlags
	var prefer string
	var yes bool
	cmd := &cobra.Command{
		Use: "restore --prefer mysql|redis", Short: "After MySQL was restored from a backup, say which side wins", Args: cobra.NoArgs,
		Long: "Run restore while the daemons of all hosts are stopped, after MySQL has the backup.\n\n" +
			"  --prefer redis  Redis and the journal win: all their tickets are flushed to MySQL again, at the next\n" +
			"                  start. Tickets that Redis no longer holds stay as in the backup. A ticket of which Redis holds\n" +
			"                  some fields is inserted in no part: without a row in MySQL it becomes a dead letter.\n" +
			"  --prefer mysql  the backup wins: Redis drops the site's tickets, pending changes included, and the\n" +
			"                  journal is moved aside. The changes are printed as JSON, one ticket a line. Needs --yes.\n\n" +
			"In both cases ids that Redis or the table know are not used again. The spool is left for the next start.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case prefer != preferMySQL && prefer != preferRedis:
				return &usageError{fmt.Errorf("--prefer %q: the value is mysql or redis", prefer)}
			case prefer == preferMySQL && !yes:
				return &usageError{errors.New("changes that MySQL does not have are dropped: add --yes to confirm")}
			}
			return o.restore(cmd.Context(), &f, prefer)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&prefer, "prefer", "", "the side that wins: mysql or redis")
	cmd.Flags().BoolVar(&yes, "yes", false, "drop the changes that MySQL does not have, with --prefer mysql")
	return cmd
}

func (o *options) restore(ctx context.Context, f *configFlags, prefer string) (err error) {
	c, name, err := o.loadSite(ctx, f)
	if err != nil {
		return err
	}
	journal := c.JournalDir(name)
	if err := stopped(c, journal); err != nil {
		return err
	}
	if !c.HasRedis() {
		return o.restoreJournal(prefer, journal)
	}
	site := c.Sites[name]
	places, err := boot.OpenPlaces(c, site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.Close()) }()
	if err := errors.Join(raise(ctx, &site, places), boot.ForgetIDs(c.Daemon.StateDir, name)); err != nil {
		return err
	}
	if prefer == preferRedis {
		return o.renew(ctx, places)
	}
	forgotten, err := places.Store.Discard(ctx, o.printLost)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "Redis has dropped %d tickets\n", forgotten)
	return o.restoreJournal(prefer, journal)
}

// stopped makes sure that no daemon of this host works on the site.
func stopped(c *config.Config, journal string) error {
	running := errors.New("ticketd is running: stop it on all hosts first (systemctl stop ticketd.socket ticketd.service)")
	if journal != "" {
		err := wal.Check(journal)
		if errors.Is(err, wal.ErrLocked) {
			return running
		}
		return err
	}
	info, err := os.Stat(c.Daemon.Socket)
	if err == nil && info.Mode().Type() == os.ModeSocket {
		return fmt.Errorf("%s exists: %w", c.Daemon.Socket, running)
	}
	return nil
}

// raise raises the sequence of ids above all ids in Redis and the table.
func raise(ctx context.Context, of *config.Site, p *boot.Places) error {
	if _, err := p.Database.Migrate(ctx, mysql.MigrateOptions{}); err != nil { // the backup may be from before an upgrade
		return err
	}
	if of.IsMeta() { // WordPress gives the ids
		return nil
	}
	sequence := mysql.NewSequence(p.Database)
	if _, _, err := sequence.RaiseToTable(ctx); err != nil {
		return err
	}
	return p.Store.TicketIDs(ctx, func(ids []ticket.ID) error { return sequence.Raise(ctx, ids) })
}

// renew marks all tickets in Redis for another flush.
func (o *options) renew(ctx context.Context, p *boot.Places) error {
	d, err := p.Database.LoadDefinition(ctx)
	if err != nil {
		return err
	}
	var writable, computed []string
	for i := range d.Columns {
		switch column := &d.Columns[i]; {
		case column.Generated:
			computed = append(computed, column.Field)
		case column.AbsentIsNull(): // a whole ticket that lacks another column may be older than the column
			writable = append(writable, column.Field)
		}
	}
	n, parts, err := p.Store.Renew(ctx, time.Now(), writable, computed)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%d tickets are flushed to MySQL again when ticketd starts, besides the tickets already pending\n", n)
	if parts > 0 {
		fmt.Fprintf(o.err, "Redis holds %d tickets in part: their fields are flushed if the backup has their rows; without a row such "+
			"a ticket\nbecomes a dead letter (1032, 'ticketd dead list'), "+
			"as a row of some fields would get defaults for all others\n", parts)
	}
	return nil
}

// restoreJournal moves the journal aside if the backup wins.
func (o *options) restoreJournal(prefer, dir string) error {
	if prefer == preferRedis {
		return errors.New("the configuration has no [redis]: changes pending in the journal are newer than the backup and are " +
			"flushed to MySQL when ticketd starts, without this command; --prefer mysql drops them")
	}
	if _, err := os.Stat(dir); dir == "" || err != nil {
		return nil //nolint:nilerr // no journal
	}
	aside := fmt.Sprintf("%s.restored-%d", dir, time.Now().Unix())
	if err := os.Rename(dir, aside); err != nil {
		return fmt.Errorf("moving the journal aside: %w", err)
	}
	fmt.Fprintf(o.err, "the journal is moved to %s; remove it when you are sure\n", aside)
	return nil
}

// printLost prints changes that are dropped.
func (o *options) printLost(claims []store.Claim) error {
	for i := range claims {
		fields := make(map[string]any, len(claims[i].Fields))
		for _, f := range claims[i].Fields {
			fields[f.Name] = nil
			if !f.Value.IsNull() {
				fields[f.Name] = f.Value.Text()
			}
		}
		line := map[string]any{"id": claims[i].ID, "deleted": claims[i].Deleted, "fields": fields}
		if err := json.NewEncoder(o.out).Encode(line); err != nil {
			return fmt.Errorf("printing what is dropped: %w", err)
		}
	}
	return nil
}

func newJournal(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "journal", Short: "Look after a journal on disk while the daemon is stopped", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f configFlags
	salvage := &cobra.Command{
		Use: "salvage", Short: "Recover the readable changes of a damaged journal", Args: cobra.NoArgs,
		Long: "The daemon does not start with a damaged journal, since skipping the damage would lose changes silently.\n" +
			"salvage replaces each damaged file by a file with the readable changes, in order, and keeps the damaged file\n" +
			"beside the new file as *.corrupt. Copy the folder first. A journal without damage is not changed.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.salvage(cmd.Context(), &f) },
	}
	f.add(salvage)
	cmd.AddCommand(salvage, newPending(o))
	return cmd
}

func newPending(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "pending", Short: "Show how many changes are pending in the journals", Args: cobra.NoArgs,
		Long: "Show for each site the number of changes pending in its journal: changes that Redis does not have, or without\n" +
			"Redis tickets that MySQL does not have, dead letters included. Exits non-zero if changes are pending.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.pending(cmd.Context(), &f) },
	}
	f.add(cmd)
	return cmd
}

func (o *options) pending(ctx context.Context, f *configFlags) error {
	c, err := f.load(ctx)
	if err != nil {
		return err
	}
	names, err := o.chosen(c)
	if err != nil {
		return err
	}
	total := int64(0)
	for _, name := range names {
		n, err := boot.Pending(ctx, c, name)
		if errors.Is(err, wal.ErrLocked) {
			return fmt.Errorf("%w: stop the daemon first; while the daemon runs, 'ticketd status' shows the pending changes", err)
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%s: %d\n", name, n)
		total += n
	}
	if total > 0 {
		return fmt.Errorf("%d changes are pending in the journal: start the daemon to replay and flush them", total)
	}
	return nil
}

func (o *options) salvage(ctx context.Context, f *configFlags) error {
	c, name, err := o.loadSite(ctx, f)
	if err != nil {
		return err
	}
	dir := c.JournalDir(name)
	if dir == "" {
		return errors.New("the configuration has no journal: see [journal] and daemon.state_dir")
	}
	report, err := wal.Salvage(dir)
	if errors.Is(err, wal.ErrLocked) {
		return fmt.Errorf("%w: stop the daemon first", err)
	}
	if err != nil {
		return err
	}
	for _, file := range report.Aside {
		fmt.Fprintln(o.out, file)
	}
	fmt.Fprintf(o.err, "%s: %d records in %d files; %d bytes could not be read, %d damaged files were set aside\n",
		dir, report.Records, report.Segments, report.Skipped, len(report.Aside))
	return nil
}

func newSpool(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "spool", Short: "Manage the folders for changes that PHP cannot deliver", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f configFlags
	var user string
	prepare := &cobra.Command{
		Use: "prepare", Short: "Make a folder in the spool for each user that may use a site", Args: cobra.NoArgs,
		Long: "Make daemon.spool_dir, and in it a folder for each user in allow_users and each user of /etc/passwd whose primary\n" +
			"group is in allow_groups. Each folder belongs to its user, with the daemon's group, and is closed to all others. A file\n" +
			"of another user, or a link, is reported and left alone. Run prepare as root when a user is added; the service runs it at\n" +
			"each start. May be repeated.",
		RunE: func(*cobra.Command, []string) error {
			c, err := config.LoadOpen(f.path, os.Environ(), f.set)
			if err != nil {
				return err
			}
			return boot.PrepareSpool(c, user, func(format string, args ...any) { fmt.Fprintf(o.err, format+"\n", args...) })
		},
	}
	f.add(prepare)
	prepare.Flags().StringVar(&user, "user", "", "the daemon's user by name or number; by default the owner of "+
		"daemon.spool_dir, or ticketd")
	cmd.AddCommand(prepare)
	return cmd
}
