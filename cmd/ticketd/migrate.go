package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/sync/mysql"
)

func newMigrate(o *options) *cobra.Command {
	var f configFlags
	var options mysql.MigrateOptions
	var raiseIDs bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Create or upgrade the tickets table", Args: cobra.NoArgs,
		Long: "Create the tickets table and the sequence of ticket ids, or add what a table lacks that ticketd made.\n" +
			"A table that ticketd did not make is never altered: its revisions are kept in a table beside it, TABLE_ticketd.\n" +
			"Nothing is narrowed or renamed, and nothing dropped without --drop-column. May be repeated.\n\n" +
			"The sequence begins above the ids that the table holds when it is made. Ids that come into the table later, by SQL or\n" +
			"because a user typed one in, are skipped and do not move the numbering, unless --raise-ids says so.\n\n" +
			"Earlier versions added the revision column to tables of other plugins. --sidecar moves the revisions out of such a table, " +
			"and\n--drop-column then drops the column. Stop ticketd on every host before that, and start it afterwards.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.migrate(cmd.Context(), &f, options, raiseIDs) },
	}
	f.add(cmd)
	flags := cmd.Flags()
	flags.BoolVar(&options.DryRun, "dry-run", false, "print the SQL and change nothing")
	flags.BoolVar(&options.Sidecar, "sidecar", false, "move revisions and deletions from the table into one beside it")
	flags.BoolVar(&options.DropColumn, "drop-column", false,
		"drop the revision column that an earlier version added to another plugin's table")
	flags.BoolVar(&raiseIDs, "raise-ids", false, "number new tickets above the highest id in the table")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "raise-ids")
	return cmd
}

func (o *options) migrate(ctx context.Context, f *configFlags, options mysql.MigrateOptions, raiseIDs bool) (err error) {
	c, name, err := o.loadSite(f)
	if err != nil {
		return err
	}
	site := c.Sites[name]
	if (options.Sidecar || options.DropColumn) && !options.DryRun {
		if err := stopped(c, c.JournalDir(name)); err != nil {
			return err
		}
	}
	db, err := boot.OpenDatabase(site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if options.Identity, err = boot.IdentityOf(c.Daemon.StateDir, name, db); err != nil {
		return err
	}
	statements, err := db.Migrate(ctx, options)
	if err != nil {
		return err
	}
	for _, statement := range statements {
		fmt.Fprintln(o.out, statement+";")
	}
	switch {
	case len(statements) == 0:
		fmt.Fprintf(o.err, "%s is as it should be\n", site.TableName())
	case !options.DryRun:
		fmt.Fprintf(o.err, "%s: done\n", site.TableName())
	}
	if !raiseIDs {
		return nil
	}
	before, after, err := mysql.NewSequence(db).RaiseToTable(ctx)
	if err == nil {
		err = boot.ForgetIDs(c.Daemon.StateDir, name)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%s: the sequence of ids is raised from %d to %d\n", site.TableName(), before, after)
	return nil
}
