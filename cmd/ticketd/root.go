package main

import (
	"context"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/internal/version"
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
	timeout time.Duration
}

// Run runs one command line and returns why it failed.
func Run(ctx context.Context, args []string, std streams) error {
	root := newRoot(std) //nolint:contextcheck // a command's context comes with its run
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
		Long: "ticketd is a daemon beside PHP-FPM. It takes the changes of support tickets over a Unix socket, keeps them in\n" +
			"Redis, answers at once, and brings the newest state of each changed ticket to MySQL in multi-row statements.",
		SilenceUsage: true, SilenceErrors: true,
		Version: version.String(),
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&o.socket, "socket", envOr("TICKETD_SOCKET", defaultSocket), "the daemon's Unix socket ($TICKETD_SOCKET)")
	flags.StringVar(&o.site, "site", os.Getenv("TICKETD_SITE"),
		"the site's name in the daemon's config; needed where you may use several ($TICKETD_SITE)")
	flags.DurationVar(&o.timeout, "timeout", 10*time.Second, "how long a call may take; flush and serve take as long as they need")
	root.AddCommand(
		newInit(o), newDoctor(o), newServe(o), newMigrate(o), newIdentity(o), newVerify(o), newJournal(o), newSpool(o), newRestore(o),
		newPing(o), newCreate(o), newSet(o), newGet(o), newDelete(o), newList(o), newCount(o),
		newFlush(o), newDead(o), newImport(o), newStatus(o),
		newVersion(o), newMan(),
	)
	wrongArgsAreUsage(root)
	return root
}

// wrongArgsAreUsage makes a usageError of what the commands below say about their arguments.
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
