package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/daemon/metrics"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/doctor"
	"github.com/ticketd/ticketd/daemon/setup"
	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/verify"
)

// setupCommands set up and check an installation.
func setupCommands(o *options) []*cobra.Command {
	return []*cobra.Command{newInit(o), newMigrate(o), newDoctor(o), newVerify(o), newConfig(o)}
}

func newInit(o *options) *cobra.Command {
	var s setup.Options
	var add string
	cmd := &cobra.Command{
		Use: "init --wp /var/www/html", Short: "Write a configuration for a WordPress, check it, and create the table",
		Args: cobra.NoArgs,
		Long: "Read the database from a WordPress' wp-config.php, look for a Redis on this host, write the configuration, and " +
			"create the\n" +
			"tickets table. A table of that name from another plugin is not used without --adopt; --table names another table. " +
			"The\nconfiguration is only written if all of it can be used. The command reads wp-config.php as PHP's user, without " +
			"PHP, and says " +
			"what\nonly PHP can tell; with --php, PHP itself reads the file, in a process without a network and with a time limit.\n" +
			"Of the command's environment wp-config.php gets the variables that WordPress' conventions know, and those of --env.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if s.WordPress == "" {
				return &usageError{errors.New("--wp: name the folder of WordPress, e.g. --wp /var/www/html")}
			}
			s.Site, s.Add = o.site, add != ""
			if s.Add {
				s.Site = add
			}
			if s.Add && s.Force {
				return &usageError{errors.New("--add and --force: --add replaces no configuration")}
			}
			if s.Moved && s.Copy {
				return &usageError{errors.New("--moved and --copy: use only one of them")}
			}
			s.Say = func(format string, args ...any) { fmt.Fprintf(o.err, format+"\n", args...) }
			if err := setup.Run(cmd.Context(), s); err != nil {
				return err
			}
			prepareNewSpool(s.Config, s.Say)
			fmt.Fprintln(o.err, "next: systemctl restart ticketd.socket ticketd.service, then activate the plugin in WordPress; "+
				"ticketd doctor checks all of it")
			return nil
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&s.WordPress, "wp", "", "the folder of WordPress, or its wp-config.php")
	flags.StringVar(&s.URL, "url", "", "the site's address, for a wp-config.php that decides by the host name")
	flags.StringVar(&s.PHP, "php", "", "let PHP itself read wp-config.php; --php=/path/to/php names the program")
	flags.Lookup("php").NoOptDefVal = "php"
	flags.StringSliceVar(&s.Env, "env", nil, "a further variable of the environment that wp-config.php may read; may be repeated")
	flags.StringVar(&s.User, "user", "", "PHP-FPM's user; found by the pools and wp-config.php's owner where not given")
	flags.StringVar(&s.Config, "config", envOr("TICKETD_CONFIG", config.DefaultPath),
		"the configuration file to write ($TICKETD_CONFIG)")
	flags.StringVar(&s.Redis, "redis", "", "host:port, tls://host:port or unix:///path of a Redis, or none for the journal "+
		"alone; searched "+
		"where not given")
	flags.StringVar(&s.RedisUser, "redis-user", "", "the user of --redis")
	flags.StringVar(&s.RedisPasswordFile, "redis-password-file", "", "a file with the password of --redis")
	flags.StringVar(&s.RedisCA, "redis-ca", "", "a file of the CA that signed the certificate of --redis")
	flags.StringVar(&s.MySQLCA, "mysql-ca", "", "a file of the CA that signed MySQL's certificate")
	flags.StringVar(&add, "add", "", "add a site of that name to the existing configuration and keep the rest")
	flags.BoolVar(&s.Force, "force", false, "replace an existing configuration; a copy is kept beside the new file")
	flags.BoolVar(&s.Moved, "moved", false, "the table's server was replaced, renamed or restored here: the table is the same")
	flags.BoolVar(&s.Copy, "copy", false, "the table is a copy of another site's table and gets its own identity")
	flags.StringVar(&s.Table, "table", "", "the tickets table; {prefix}support_tickets where not given")
	flags.BoolVar(&s.Adopt, "adopt", false, "use an existing table that ticketd did not make; the table is never altered")
	flags.BoolVar(&s.NoMigrate, "no-migrate", false, "connect to the database without changing it")
	return cmd
}

// prepareNewSpool makes the users' folders in the spool, if the configuration has a spool. A failure is only a note, because
// the service tries again at each start.
func prepareNewSpool(path string, say func(format string, args ...any)) {
	c, err := config.LoadOpen(path, os.Environ(), nil)
	if err != nil || c.Daemon.SpoolDir == "" {
		return
	}
	if _, err := os.Lstat(c.Daemon.SpoolDir); err != nil || os.Geteuid() != 0 {
		say("note: 'ticketd spool prepare', run as root, makes a folder in %s for each user that may use the site", c.Daemon.SpoolDir)
		return
	}
	if err := boot.PrepareSpool(c, "", say); err != nil {
		say("note: not all users have a folder in the spool: %v", err)
	}
}

func newMigrate(o *options) *cobra.Command {
	var f configFlags
	var options mysql.MigrateOptions
	var raiseIDs bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Create or upgrade the tickets table", Args: cobra.NoArgs,
		Long: "Create the tickets table and the sequence of ticket ids, or add what is missing to a table that ticketd made.\n" +
			"A table that ticketd did not make is never altered: its revisions are kept in a table beside it, TABLE_ticketd.\n" +
			"No column is narrowed or renamed, and none is dropped without --drop-column. May be repeated.\n\n" +
			"The site stays in use: columns and indexes are added without a copy of the table where the server can, and a table that\n" +
			"other sessions keep locked is waited for 2 s at a time, for --wait in all. The command names these sessions.\n\n" +
			"A new sequence begins above the ids in the table. Ids that enter the table later, by SQL or\n" +
			"because a user typed an id, are skipped and do not move the numbering, except with --raise-ids.\n\n" +
			"Earlier versions added the revision column to tables of other plugins. --sidecar moves the revisions out of such a table, " +
			"and\n--drop-column then drops the column. Stop ticketd on every host first, and start it again afterwards.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.migrate(cmd.Context(), &f, options, raiseIDs) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&options.DryRun, "dry-run", false, "print the SQL and change nothing")
	flags.BoolVar(&options.Sidecar, "sidecar", false, "move revisions and deletions from the table into a second table beside it")
	flags.BoolVar(&options.DropColumn, "drop-column", false,
		"drop the revision column that an earlier version added to another plugin's table")
	flags.DurationVar(&options.Wait, "wait", time.Minute, "how long to try again while other sessions keep the table locked")
	flags.BoolVar(&raiseIDs, "raise-ids", false, "number new tickets above the highest id in the table")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "raise-ids")
	return cmd
}

func (o *options) migrate(ctx context.Context, f *configFlags, options mysql.MigrateOptions, raiseIDs bool) (err error) {
	c, name, err := o.loadSite(ctx, f)
	if err != nil {
		return err
	}
	site := c.Sites[name]
	if err := mayMigrate(c, name, options, raiseIDs); err != nil {
		return err
	}
	db, err := boot.OpenDatabase(site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if options.Identity, err = boot.IdentityOf(c.Daemon.StateDir, name, db); err != nil {
		return err
	}
	options.History = site.History.Enabled
	options.Say = func(format string, args ...any) { fmt.Fprintf(o.err, format+"\n", args...) }
	statements, err := db.Migrate(ctx, options)
	if mysql.Denied(err) && !options.DryRun {
		return fmt.Errorf("%w: 'ticketd migrate --dry-run' prints the SQL that an administrator runs", err)
	}
	if err != nil {
		return err
	}
	o.sayMigrated(site.TableName(), statements, options.DryRun)
	if raiseIDs {
		return o.raiseIDs(ctx, c, name, db)
	}
	return nil
}

// mayMigrate refuses what the site's tables do not allow, and the removal of a column while the daemon runs.
func mayMigrate(c *config.Config, name string, options mysql.MigrateOptions, raiseIDs bool) error {
	moves := options.Sidecar || options.DropColumn
	if site := c.Sites[name]; site.IsMeta() && (moves || raiseIDs) {
		return &usageError{fmt.Errorf("site %s is of kind %q, whose tables and ids are WordPress': 'ticketd migrate' alone makes the "+
			"table of revisions", name, site.Kind)}
	}
	if moves && !options.DryRun {
		return stopped(c, c.JournalDir(name))
	}
	return nil
}

// sayMigrated prints the statements, and what became of the table.
func (o *options) sayMigrated(tableName string, statements []string, dryRun bool) {
	for _, statement := range statements {
		fmt.Fprintln(o.out, statement+";")
	}
	switch {
	case len(statements) == 0:
		fmt.Fprintf(o.err, "%s needs no change\n", tableName)
	case !dryRun:
		fmt.Fprintf(o.err, "%s: done\n", tableName)
	}
}

// raiseIDs numbers new tickets above the highest id in the table.
func (o *options) raiseIDs(ctx context.Context, c *config.Config, name string, db *mysql.DB) error {
	before, after, err := mysql.NewSequence(db).RaiseToTable(ctx)
	if err == nil {
		err = boot.ForgetIDs(c.Daemon.StateDir, name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%s: the sequence of ids is raised from %d to %d\n", db.Name(), before, after)
	return nil
}

func newDoctor(o *options) *cobra.Command {
	var f configFlags
	var format, user string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Check everything that ticketd needs, and say how to fix what is wrong", Args: cobra.NoArgs,
		Long: "Check the daemon and its socket, Redis, MySQL, the journal, the spool and PHP's access to them. Changes nothing; " +
			"run it as\n" +
			"root, which may read everything. Exits non-zero on a failed check; warnings alone exit zero.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := findingsWriter(format)
			if err != nil {
				return err
			}
			return o.doctor(cmd.Context(), &f, user, write)
		},
	}
	f.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().StringVar(&user, "user", "", "the daemon's user; by default the user of the running daemon")
	return cmd
}

func (o *options) doctor(ctx context.Context, f *configFlags, user string, write func(io.Writer, []doctor.Finding) error) error {
	c, err := f.load(ctx)
	if o.site != "" && err == nil {
		name, err := siteName(c, o.site)
		if err != nil {
			return err
		}
		c.Sites = map[string]config.Site{name: c.Sites[name]}
	}
	found := doctor.Run(ctx, doctor.Options{Config: c, LoadError: err, Path: f.path, User: user, Version: version.String()})
	if err := write(o.out, found); err != nil {
		return err
	}
	if doctor.Worst(found) == doctor.Fail {
		return errors.New("a check failed: see the lines marked fail")
	}
	return nil
}

func findingsWriter(format string) (func(io.Writer, []doctor.Finding) error, error) {
	switch format {
	case "table":
		return writeFindings, nil
	case "json":
		return func(w io.Writer, found []doctor.Finding) error { return json.NewEncoder(w).Encode(found) }, nil
	default:
		return nil, badFormat(format)
	}
}

func writeFindings(w io.Writer, found []doctor.Finding) error {
	for i := range found {
		f := &found[i]
		where := f.Area + " " + f.Check
		if f.Site != "" {
			where += " (" + f.Site + ")"
		}
		fmt.Fprintf(w, "%-4s  %s: %s\n", f.Verdict, where, f.Reason)
		if f.Fix != "" {
			fmt.Fprintf(w, "      -> %s\n", f.Fix)
		}
	}
	return nil
}

func newVerify(o *options) *cobra.Command {
	var f configFlags
	v := verify.Options{}
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare Redis with MySQL and print the differences", Args: cobra.NoArgs,
		Long: "Compare the tickets in Redis with the table, and the index of dirty tickets with the tickets. May run while\n" +
			"the daemon works. Exits non-zero if a difference was not repaired. A site without Redis has nothing to compare.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.verify(cmd.Context(), &f, v) },
	}
	f.add(cmd)
	cmd.Flags().Float64Var(&v.Share, "sample", 1, "compare this share of the tickets, above 0 to 1")
	cmd.Flags().BoolVar(&v.Repair, "repair", false,
		"rebuild the index from the tickets, and drop clean copies that differ, so that reads go to MySQL again")
	return cmd
}

func (o *options) verify(ctx context.Context, f *configFlags, v verify.Options) (err error) {
	if v.Share <= 0 || v.Share > 1 {
		return &usageError{fmt.Errorf("--sample %v is not above 0 and at most 1", v.Share)}
	}
	c, err := f.load(ctx)
	if err != nil {
		return err
	}
	site, err := siteConfig(c, o.site)
	if err != nil {
		return err
	}
	if err := o.verifyMeta(ctx, &site); err != nil {
		return err
	}
	if !c.HasRedis() {
		fmt.Fprintln(o.err, "nothing to compare: the configuration has no [redis], and the daemon alone reads its journal; "+
			"'wp ticketd verify' compares the daemon's answers with the table")
		return nil
	}
	places, err := boot.OpenPlaces(c, site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.Close()) }()
	v.PendingOnly = site.IsMeta()
	var pending []int64
	v.Report = func(d *verify.Difference) {
		fmt.Fprintln(o.out, d)
		if d.Kind == verify.Unindexed {
			pending = append(pending, int64(d.ID))
		}
	}
	sum, err := verify.Run(ctx, places.Store, boot.TicketsOf(&site, places.Database), v)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "looked at %d tickets, %d differ, %d repaired\n", sum.Looked, sum.Differences, sum.Repaired)
	if v.Repair {
		o.flushRepaired(ctx, c, pending)
	}
	if sum.Differences > sum.Repaired {
		return errors.New("tickets in Redis differ from MySQL; --repair repairs clean tickets and the index")
	}
	return nil
}

// flushRepaired has the daemon flush tickets that the index names again. Without a daemon, or a MySQL that answers, they stay
// pending.
func (o *options) flushRepaired(ctx context.Context, c *config.Config, ids []int64) {
	o.socket = c.Daemon.Socket
	for part := range slices.Chunk(ids, protocol.MaxTickets) {
		err := o.call(ctx, func(ctx context.Context, client *protocol.Client) error {
			_, err := client.Flush(ctx, part, nil)
			return err
		})
		if err != nil {
			fmt.Fprintf(o.err, "the daemon has not flushed the %d tickets that are in the index again: %v; they stay pending\n",
				len(ids), err)
			return
		}
	}
}

// maxOrphans bounds the orphans that verify prints.
const maxOrphans = 100

// verifyMeta prints the rows that a site with meta has of posts that do not exist.
func (o *options) verifyMeta(ctx context.Context, site *config.Site) (err error) {
	if !site.IsMeta() {
		return nil
	}
	db, err := boot.OpenDatabase(*site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	orphans, err := boot.MetaOf(site, db).Orphans(ctx, maxOrphans)
	if err != nil || len(orphans) == 0 {
		return err
	}
	for i := range orphans {
		fmt.Fprintln(o.out, &orphans[i])
	}
	return fmt.Errorf("%s has rows of posts that do not exist", site.TableName())
}

// siteConfig returns the site of --site, or the only site.
func siteConfig(c *config.Config, name string) (config.Site, error) {
	name, err := siteName(c, name)
	return c.Sites[name], err
}

// newConfig has the commands about the configuration itself.
func newConfig(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check the configuration", Args: cobra.NoArgs}
	cmd.AddCommand(newConfigCheck(o))
	return cmd
}

func newConfigCheck(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "check", Short: "Check the configuration without using it, and name what needs a restart", Args: cobra.NoArgs,
		Long: "Check every key of the configuration, and name the keys that a reload does not apply to the running daemon.\n" +
			"Exits non-zero if the daemon would reject the configuration: 'systemctl reload ticketd' then fails, too, and the\n" +
			"daemon keeps its present configuration. Asks neither Redis nor MySQL, but for a multisite's blogs; 'ticketd doctor' does.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := f.load(cmd.Context())
			if err == nil {
				err = metrics.CheckWeb(c.Metrics.WebConfig, !c.Metrics.Local())
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(o.out, "the configuration %s is correct\n", config.Source(f.path, os.Environ()))
			if keys, known := boot.NeedRestart(c); known && len(keys) > 0 {
				fmt.Fprintf(o.out, "a restart is needed for: %s\n", strings.Join(keys, ", "))
			}
			return nil
		},
	}
	f.add(cmd)
	return cmd
}
