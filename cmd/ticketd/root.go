package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/version"
)

// Run runs a command line and returns the error.
func Run(ctx context.Context, args []string, std streams) error {
	root := newRoot(std) //nolint:contextcheck // ExecuteContext gives the command the context
	root.SetArgs(args)
	root.SetIn(std.in)
	root.SetOut(std.out)
	root.SetErr(std.err)
	return root.ExecuteContext(ctx)
}

func newRoot(std streams) *cobra.Command {
	o := &options{streams: std}
	root := &cobra.Command{
		Use:   "ticketd",
		Short: "Write-behind for support tickets: WordPress writes to Redis, MySQL follows in batches",
		Long: "ticketd is a daemon beside PHP-FPM. The daemon takes changes of support tickets over a Unix socket, keeps them in\n" +
			"Redis, answers at once, and flushes the newest state of each changed ticket to MySQL in multi-row statements.",
		SilenceUsage: true, SilenceErrors: true,
		Version: version.String(),
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&o.socket, "socket", socketOf(os.Environ()), "the daemon's Unix socket ($TICKETD_SOCKET)")
	flags.StringVar(&o.site, "site", os.Getenv("TICKETD_SITE"),
		"the site's name in the daemon's config; needed if you may use several sites ($TICKETD_SITE)")
	flags.BoolVar(&o.all, "all", false, "all sites of the configuration, one after the other")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long a call may take; flush and serve take as long as they need")
	root.AddCommand(setupCommands(o)...)
	root.AddCommand(recoveryCommands(o)...)
	root.AddCommand(ticketCommands(o)...)
	root.AddCommand(listCommands(o)...)
	root.AddCommand(backlogCommands(o)...)
	root.AddCommand(feedCommands(o)...)
	root.AddCommand(newServe(o), newImport(o), newVersion(o))
	root.AddCommand(packagersCommands()...)
	o.everySite(root)
	wrongArgsAreUsage(root)
	return root
}

// wrongArgsAreUsage turns errors about the arguments of all commands below parent into usageErrors.
func wrongArgsAreUsage(parent *cobra.Command) {
	for _, c := range parent.Commands() {
		wrongArgsAreUsage(c)
		if args := c.Args; args != nil {
			c.Args = func(cmd *cobra.Command, given []string) error {
				if err := args(cmd, given); err != nil {
					return &usageError{err}
				}
				return nil
			}
		}
	}
}

// socketOf returns the socket that the environment names: for the client commands, or, in a container, for the daemon, whose
// health check has the daemon's environment.
func socketOf(environ []string) string {
	for _, pair := range environ {
		if socket, named := strings.CutPrefix(pair, "TICKETD_SOCKET="); named && socket != "" {
			return socket
		}
	}
	if c, err := config.LoadOpen("", environ, nil); err == nil && c.Daemon.Socket != "" {
		return c.Daemon.Socket
	}
	return defaultSocket
}

func newVersion(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(o.out, "ticketd %s (%s, %s/%s)\n", version.String(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	}
}
