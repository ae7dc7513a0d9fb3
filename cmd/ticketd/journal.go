package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/store/journal/wal"
)

func newJournal(o *options) *cobra.Command {
	cmd := &cobra.Command{Use: "journal", Short: "Look after a journal on disk while the daemon is stopped"}
	var f configFlags
	salvage := &cobra.Command{
		Use: "salvage", Short: "Take out of a damaged journal what can be read", Args: cobra.NoArgs,
		Long: "The daemon does not start on a journal with bad bytes in it, since passing over them would lose changes silently.\n" +
			"This puts in place of each damaged file one with the changes that can be read, in their order, and keeps the damaged one\n" +
			"beside it as *.corrupt. Copy the folder first. A journal without damage is left as it is.",
		RunE: func(*cobra.Command, []string) error { return o.salvage(&f) },
	}
	f.add(salvage)
	cmd.AddCommand(salvage)
	return cmd
}

func (o *options) salvage(f *configFlags) error {
	c, err := f.load()
	if err != nil {
		return err
	}
	name, err := siteName(c, o.site)
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
