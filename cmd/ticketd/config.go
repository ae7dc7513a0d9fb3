package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/metrics"
)

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
