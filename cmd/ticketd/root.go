package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/protocol"
)

// streams are where a command reads and writes.
type streams struct {
	in       *os.File
	out, err *os.File
}

// usageError is a call that no daemon could make work: wrong flags or arguments.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// defaultSocket is where the packages' systemd socket listens.
const defaultSocket = "/run/ticketd/ticketd.sock"

// options are the flags that all client commands share.
type options struct {
	streams
	socket  string
	site    string
	all     bool   // all sites of the configuration
	config  string // that has the names of all sites; empty is the default
	timeout time.Duration
}

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
	flags.StringVar(&o.socket, "socket", envOr("TICKETD_SOCKET", defaultSocket), "the daemon's Unix socket ($TICKETD_SOCKET)")
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
	root.AddCommand(newServe(o), newImport(o), newVersion(o), newMan())
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

func envOr(name, fallback string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return fallback
}

// call dials the daemon, runs f within the time-out, and closes the connection. Zero means no time-out.
func (o *options) call(ctx context.Context, f func(context.Context, *protocol.Client) error) error {
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, o.timeout, fmt.Errorf("no answer within %v (--timeout)", o.timeout))
		defer cancel()
	}
	client, err := protocol.Dial(ctx, o.socket)
	if err != nil {
		return o.explain(err)
	}
	defer func() { _ = client.Close() }()
	client.Site = o.site
	if err := f(ctx, client); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return context.Cause(ctx)
		}
		return err
	}
	return nil
}

// noteStale says which changes an answer may lack.
func (o *options) noteStale(stale bool, locked []int64) {
	switch {
	case len(locked) > 0:
		fmt.Fprintf(o.err, "rows are locked in MySQL: the latest changes of tickets %v are missing from this answer\n", locked)
	case stale:
		fmt.Fprintln(o.err, "Redis does not answer: changes pending in Redis may be missing from this answer")
	}
}

// explain adds advice to a failed dial.
func (o *options) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("no daemon listens on %s: start it with 'systemctl start ticketd' or 'ticketd serve', "+
			"or name the daemon's socket with --socket", o.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no daemon listens on %s: start the daemon again and look at its log", o.socket)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("you may not use %s: run the command as root, or as a member of the socket's group", o.socket)
	default:
		return err
	}
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

// newMan is for packagers; the pages are made from the texts of --help.
func newMan() *cobra.Command {
	return &cobra.Command{
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
	}
}
