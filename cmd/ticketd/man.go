//go:build man

package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// packagersCommands make what packages have beside the program. The pages are made from the texts of --help.
func packagersCommands() []*cobra.Command {
	return []*cobra.Command{{
		Use: "man folder", Short: "Write the man pages, one for each command", Args: cobra.ExactArgs(1), Hidden: true,
		Long: "Write the man pages into a folder that exists, one for each command.\n" +
			"The pages bear the date of $SOURCE_DATE_EPOCH, in seconds since 1970, if set.",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Source: "ticketd", Manual: "ticketd"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("writing the man pages: %w", err)
			}
			return nil
		},
	}}
}
