package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/sync/verify"
)

func newVerify(o *options) *cobra.Command {
	var f configFlags
	v := verify.Options{}
	cmd := &cobra.Command{
		Use: "verify", Short: "Compare Redis with MySQL and print what differs", Args: cobra.NoArgs,
		Long: "Compare the tickets that Redis holds with the table, and the index of dirty tickets with the tickets. May run while\n" +
			"the daemon works. Exits non-zero where something differs and was not repaired.",
		RunE: func(cmd *cobra.Command, _ []string) error { return o.verify(cmd.Context(), &f, v) },
	}
	f.add(cmd)
	cmd.Flags().Float64Var(&v.Share, "sample", 1, "look at this share of the tickets, above 0 to 1")
	cmd.Flags().BoolVar(&v.Repair, "repair", false,
		"rebuild the index from the tickets, and forget clean copies that differ so that they are read from MySQL again")
	return cmd
}

func (o *options) verify(ctx context.Context, f *configFlags, v verify.Options) (err error) {
	if v.Share <= 0 || v.Share > 1 {
		return &usageError{fmt.Errorf("--sample %v is not above 0 and at most 1", v.Share)}
	}
	c, err := f.load()
	if err != nil {
		return err
	}
	site, err := siteConfig(c, o.site)
	if err != nil {
		return err
	}
	places, err := boot.OpenPlaces(c, site)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.Close()) }()
	v.Report = func(d *verify.Difference) { fmt.Fprintln(o.out, d) }
	sum, err := verify.Run(ctx, places.Store, places.Database, v)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "looked at %d tickets, %d differ, %d repaired\n", sum.Looked, sum.Differences, sum.Repaired)
	if sum.Differences > sum.Repaired {
		return errors.New("what Redis holds differs from MySQL; --repair makes right what is not dirty")
	}
	return nil
}
