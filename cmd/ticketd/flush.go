package main

import (
	"context"
	"fmt"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ticketd/ticketd/protocol"
)

func newFlush(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "flush [id…]", Short: "Bring changed tickets to MySQL now",
		Long: "Bring every changed ticket, or those named, to MySQL now. Answers when all that was changed at the call is in MySQL.\n" +
			"Exits non-zero where MySQL refuses a ticket, or takes nothing for as long as a request may take\n" +
			"(daemon.request_timeout): the rest stays pending and is flushed by itself. --timeout bounds the whole.",
		Args: cobra.MaximumNArgs(protocol.MaxTickets),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				ids = nil // all
			}
			if !cmd.Flags().Changed("timeout") {
				o.timeout = 0
			}
			progress, done := o.progress()
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				result, err := c.Flush(ctx, ids, progress)
				done()
				if err != nil {
					return err
				}
				fmt.Fprintf(o.out, "flushed %d\n", result.Flushed)
				if result.Dead > 0 {
					return fmt.Errorf("MySQL refuses %d tickets: correct them with a new write, see 'ticketd dead list'", result.Dead)
				}
				return nil
			})
		},
	}
}

// progress returns what draws a bar on a terminal, and nothing elsewhere.
func (o *options) progress() (draw func(done, total int64), finish func()) {
	if !term.IsTerminal(int(o.err.Fd())) {
		return nil, func() {}
	}
	var bar *progressbar.ProgressBar
	draw = func(done, total int64) {
		if bar == nil {
			bar = progressbar.NewOptions64(total, progressbar.OptionSetWriter(o.err),
				progressbar.OptionSetDescription("flushing"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
				progressbar.OptionSetItsString("tickets"), progressbar.OptionClearOnFinish())
		}
		_ = bar.Set64(done) // what cannot be drawn is not worth failing for
	}
	return draw, func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}
}
