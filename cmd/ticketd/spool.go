package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
)

func newSpool(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "spool", Short: "Look after the folders where changes wait that PHP cannot deliver", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	var f configFlags
	var user string
	prepare := &cobra.Command{
		Use: "prepare", Short: "Make a folder in the spool for each user that may use a site", Args: cobra.NoArgs,
		Long: "Make daemon.spool_dir, and in it a folder for each user in allow_users and each user of /etc/passwd whose primary\n" +
			"group is in allow_groups. Each folder is its user's, with the daemon's group, and closed to all others. What belongs\n" +
			"to another user, or is a link, is named and left alone. Run this as root when a user is added; the service runs it at\n" +
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
	prepare.Flags().StringVar(&user, "user", "", "the daemon's user by name or number; where not given, the owner of "+
		"daemon.spool_dir, or ticketd")
	cmd.AddCommand(prepare)
	return cmd
}
