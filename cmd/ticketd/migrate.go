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
	var dryRun bool
	cmd := &cobra.Command{
		Use: "migrate", Short: "Create or upgrade the tickets table", Args: cobra.NoArgs,
		Long: "Create the tickets table and the sequence of ticket ids, or add what an existing table lacks.\n" +
			"Nothing is ever dropped, narrowed or renamed. May be repeated.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.migrate(cmd.Context(), &f, dryRun) },
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the SQL and change nothing")
	return cmd
}

func (o *options) migrate(ctx context.Context, f *configFlags, dryRun bool) (err error) {
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
	return nil
}
