package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan is for those who package ticketd: its pages are made of what --help says.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use: "man folder", Short: "Write the man pages, one for each command", Args: cobra.ExactArgs(1), Hidden: true,
		Long: "Write the man pages into a folder that exists, one for each command.\n" +
			"They bear the date of $SOURCE_DATE_EPOCH, in seconds since 1970, where it is set.",
		RunE: func(cmd *cobra.Command, args []string) error {
			root := cmd.Root()
			root.DisableAutoGenTag = true
			header := &doc.GenManHeader{Section: "1", Source: "ticketd", Manual: "ticketd"}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return fmt.Errorf("writing the man pages: %w", err)
			}
			return nil
		},
	}
}
