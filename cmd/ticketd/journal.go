package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/store/wal"
)

func newJournal(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "journal", Short: "Look after a journal on disk while the daemon is stopped", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f configFlags
	salvage := &cobra.Command{
		Use: "salvage", Short: "Take out of a damaged journal what can be read", Args: cobra.NoArgs,
		Long: "The daemon does not start on a journal with bad bytes in it, since passing over them would lose changes silently.\n" +
			"This puts in place of each damaged file one with the changes that can be read, in their order, and keeps the damaged one\n" +
			"beside it as *.corrupt. Copy the folder first. A journal without damage is left as it is.",
		RunE: func(*cobra.Command, []string) error { return o.salvage(&f) },
	}
	f.add(salvage)
	cmd.AddCommand(salvage, newPending(o))
	return cmd
}

func newPending(o *options) *cobra.Command {
	var f configFlags
	cmd := &cobra.Command{
		Use: "pending", Short: "Show what is pending in the journals", Args: cobra.NoArgs,
		Long: "Show for each site how much is pending in its journal: changes that Redis does not have, or without Redis tickets\n" +
			"that MySQL does not have, dead letters included. Exits non-zero where anything does.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.pending(cmd.Context(), &f) },
	}
	f.add(cmd)
	return cmd
}

func (o *options) pending(ctx context.Context, f *configFlags) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	total := int64(0)
	for _, name := range c.SiteNames() {
		n, err := boot.Pending(ctx, c, name)
		if errors.Is(err, wal.ErrLocked) {
			return fmt.Errorf("%w: stop the daemon first; while it runs, 'ticketd status' shows what is pending", err)
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

func (o *options) salvage(f *configFlags) error {
	c, name, err := o.loadSite(f)
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
