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
	var dryRun, raiseIDs bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Create or upgrade the tickets table", Args: cobra.NoArgs,
		Long: "Create the tickets table and the sequence of ticket ids, or add what an existing table lacks.\n" +
			"Nothing is ever dropped, narrowed or renamed. May be repeated.\n\n" +
			"The sequence begins above the ids that the table holds when it is made. Ids that come into the table later, by SQL or\n" +
			"because somebody typed one in, are skipped and do not move the numbering, unless --raise-ids says so.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.migrate(cmd.Context(), &f, dryRun, raiseIDs) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the SQL and change nothing")
	cmd.Flags().BoolVar(&raiseIDs, "raise-ids", false, "number new tickets above the highest id in the table")
	cmd.MarkFlagsMutuallyExclusive("dry-run", "raise-ids")
	return cmd
}

func (o *options) migrate(ctx context.Context, f *configFlags, dryRun, raiseIDs bool) (err error) {
	c, err := f.load()
	if err != nil {
		return err
	}
	site, err := siteConfig(c, o.site)
	if err != nil {
		return err
	}
	db, err := boot.OpenDatabase(site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	statements, err := db.Migrate(ctx, mysql.MigrateOptions{DryRun: dryRun})
	if err != nil {
		return err
	}
	for _, statement := range statements {
		fmt.Fprintln(o.out, statement+";")
	}
	switch {
	case len(statements) == 0:
		fmt.Fprintf(o.err, "%s is as it should be\n", site.TableName())
	case !dryRun:
		fmt.Fprintf(o.err, "%s: done\n", site.TableName())
	}
	if !raiseIDs {
		return nil
	}
	before, after, err := mysql.NewSequence(db).RaiseToTable(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%s: the sequence of ids is raised from %d to %d\n", site.TableName(), before, after)
	return nil
}
