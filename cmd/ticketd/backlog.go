package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ticketd/ticketd/protocol"
)

// watchEvery is how often --watch asks.
const watchEvery = time.Second

// backlogCommands are about the changes that MySQL does not have.
func backlogCommands(o *options) []*cobra.Command {
	return []*cobra.Command{newStatus(o), newFlush(o), newDead(o)}
}

func newStatus(o *options) *cobra.Command {
	var format string
	var watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the backlog, and whether Redis and MySQL answer", Args: cobra.NoArgs,
		Long: "Show the backlog of a site, and whether Redis and MySQL answer; without --site, if there are several sites, or with\n" +
			"--all, a line for each site of the configuration.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := statusWriter(format)
			if err != nil {
				return err
			}
			show := func(ctx context.Context) error { return o.status(ctx, write) }
			if o.all {
				show = func(ctx context.Context) error { return o.overview(ctx, format) }
			}
			if watch {
				return o.watch(cmd.Context(), show)
			}
			err = show(cmd.Context())
			if refused := (*protocol.Error)(nil); errors.As(err, &refused) && refused.Field == "site" && o.site == "" {
				return o.overview(cmd.Context(), format) // there are several sites
			}
			return err
		},
	}
	addFormat(cmd, &format)
	cmd.Flags().BoolVar(&watch, "watch", false, "show the status every second, until interrupted")
	return cmd
}

// overview shows a line for each site.
func (o *options) overview(ctx context.Context, format string) error {
	names, err := o.siteNames(ctx)
	if err != nil {
		return err
	}
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		table := tabwriter.NewWriter(o.out, 0, 0, 2, ' ', 0)
		if format == "table" {
			fmt.Fprintln(table, "SITE\tSTORE\tMYSQL\tPENDING\tOLDEST\tDEAD\tJOURNAL\tSPOOL\tWARNINGS")
		}
		failed := 0
		for _, name := range names {
			c.Site = name
			status, err := c.Status(ctx)
			if err != nil {
				failed++
			}
			if refused := (*protocol.Error)(nil); err != nil && !errors.As(err, &refused) {
				return err // the connection is lost
			}
			if err := writeLine(o.out, table, format, name, &status, err); err != nil {
				return err
			}
		}
		if failed > 0 {
			return errors.Join(table.Flush(), fmt.Errorf("%d of %d sites do not answer", failed, len(names)))
		}
		return table.Flush()
	})
}

func writeLine(out, table io.Writer, format, name string, s *protocol.StatusResult, failed error) error {
	switch {
	case format == "json" && failed != nil:
		return json.NewEncoder(out).Encode(map[string]any{"site": name, "error": failed.Error()})
	case format == "json":
		return json.NewEncoder(out).Encode(statusJSON(s))
	case failed != nil:
		_, err := fmt.Fprintf(table, "%s\t%s\n", name, oneLine(failed.Error()))
		return err
	}
	_, err := fmt.Fprintf(table, "%s\t%s %s\t%s\t%d\t%v\t%d\t%d\t%d\t%d\n", name, s.Backend, s.Store.State, s.Sink.State, s.Dirty,
		millis(s.OldestDirtyMS).Round(time.Second), s.Dead, s.Journal.Entries, s.Spool.Files, len(s.Warnings))
	return err
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

func (o *options) status(ctx context.Context, write func(io.Writer, *protocol.StatusResult) error) error {
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return write(o.out, &status)
	})
}

// watch shows the status every second. watch goes on while the daemon is away.
func (o *options) watch(ctx context.Context, show func(context.Context) error) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if term.IsTerminal(int(o.out.Fd())) {
			fmt.Fprint(o.out, "\x1b[H\x1b[2J")
		}
		if err := show(ctx); err != nil && ctx.Err() == nil {
			fmt.Fprintln(o.err, "ticketd:", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

func statusWriter(format string) (func(io.Writer, *protocol.StatusResult) error, error) {
	switch format {
	case "table":
		return writeStatus, nil
	case "json":
		return func(w io.Writer, s *protocol.StatusResult) error { return json.NewEncoder(w).Encode(statusJSON(s)) }, nil
	default:
		return nil, badFormat(format)
	}
}

func writeStatus(w io.Writer, s *protocol.StatusResult) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "daemon\t%s, pid %d, up %v\n", s.Version, s.PID, millis(s.UptimeMS).Round(time.Second))
	fmt.Fprintf(table, "connections\t%d of %d\n", s.ConnectionsOpen, s.ConnectionsLimit)
	fmt.Fprintf(table, "site\t%s, strategy %s\n", s.Site, s.Strategy)
	fmt.Fprintf(table, "store\t%s, acknowledges from %s, %s\n", s.Backend, s.Ack, place(s.Store))
	fmt.Fprintf(table, "mysql\t%s\n", place(s.Sink))
	fmt.Fprintf(table, "pending\t%d tickets, the oldest change %v ago\n", s.Dirty, millis(s.OldestDirtyMS))
	fmt.Fprintf(table, "dead letters\t%d\n", s.Dead)
	fmt.Fprintf(table, "flushed\t%d rows in %d statements, %d failed rounds\n", s.FlushedRows, s.FlushStatements, s.FlushErrors)
	writeLocal(table, s)
	for _, warning := range s.Warnings {
		fmt.Fprintf(table, "WARNING\t%s\n", warning)
	}
	return table.Flush()
}

// writeLocal shows the pending changes on this host's disk.
func writeLocal(w io.Writer, s *protocol.StatusResult) {
	j, p := &s.Journal, &s.Spool
	fmt.Fprintf(w, "journal\t%d entries of %d bytes pending in %d files, the oldest for %v; %d replayed; %d request ids kept\n",
		j.Entries, j.Bytes, j.Segments, millis(j.OldestMS), j.Replayed, j.Requests)
	fmt.Fprintf(w, "spool\t%d files of %d bytes pending, the oldest for %v; %d ingested, %d rejected (bad/)\n",
		p.Files, p.Bytes, millis(p.OldestMS), p.Taken, p.Bad)
}

func place(p protocol.Place) string {
	text := fmt.Sprintf("%s for %v", p.State, millis(p.SinceMS).Round(time.Second))
	if p.Reason != "" {
		text += ": " + p.Reason
	}
	return text
}

func millis(n int64) time.Duration { return time.Duration(n) * time.Millisecond }

// statusJSON has the keys of the protocol's status.
func statusJSON(s *protocol.StatusResult) map[string]any {
	place := func(p protocol.Place) map[string]any {
		return map[string]any{"state": p.State, "since_ms": p.SinceMS, "reason": p.Reason}
	}
	journal, spool := &s.Journal, &s.Spool
	return map[string]any{
		"version": s.Version, "uptime_ms": s.UptimeMS, "pid": s.PID,
		"connections": map[string]any{"open": s.ConnectionsOpen, "limit": s.ConnectionsLimit},
		"site":        s.Site, "strategy": s.Strategy, "dirty": s.Dirty, "dead": s.Dead, "oldest_dirty_ms": s.OldestDirtyMS,
		"flushed_rows": s.FlushedRows, "flush_statements": s.FlushStatements, "flush_errors": s.FlushErrors,
		"store": place(s.Store), "sink": place(s.Sink), "warnings": s.Warnings, "backend": s.Backend, "ack": s.Ack,
		"journal": map[string]any{
			"entries": journal.Entries, "bytes": journal.Bytes, "oldest_ms": journal.OldestMS,
			"replayed": journal.Replayed, "segments": journal.Segments, "requests": journal.Requests,
		},
		"spool": map[string]any{
			"files": spool.Files, "bytes": spool.Bytes, "oldest_ms": spool.OldestMS, "taken": spool.Taken, "bad": spool.Bad,
		},
	}
}

func newFlush(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "flush [id…]", Short: "Flush changed tickets to MySQL now",
		Long: "Flush every changed ticket, or the named tickets, to MySQL now. Answers when MySQL has all changes made before.\n" +
			"Exits non-zero if MySQL rejects a ticket, or accepts no ticket for as long as a request may take\n" +
			"(daemon.request_timeout): the rest stays pending and is flushed later. --timeout bounds the whole command.",
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
					return fmt.Errorf("MySQL rejects %d tickets: correct the tickets with a new write, see 'ticketd dead list'", result.Dead)
				}
				return nil
			})
		},
	}
}

// progress returns functions that draw a bar on a terminal; elsewhere draw is nil.
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
		_ = bar.Set64(done) // a missing bar is no reason to fail
	}
	return draw, func() {
		if bar != nil {
			_ = bar.Finish()
		}
	}
}

func newDead(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead", Short: "Show, retry or drop changes that MySQL rejects", Args: cobra.NoArgs,
		Long: "A dead letter is a ticket with changes that MySQL rejects. A dead letter can be read, delays no other ticket, and\n" +
			"becomes an ordinary ticket again with the next good write. Without a new write: retry when the table accepts the\n" +
			"changes, or drop the changes.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDeadList(o), newDeadShow(o), newDeadRetry(o), newDeadDrop(o))
	return cmd
}

func newDeadList(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list", Short: "List all dead letters", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return badFormat(format)
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				letters, err := allLetters(ctx, c)
				if err != nil {
					return err
				}
				return writeLetters(o.out, letters, format)
			})
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func allLetters(ctx context.Context, c *protocol.Client) ([]protocol.Letter, error) {
	var letters []protocol.Letter
	for after := int64(0); ; after = int64(letters[len(letters)-1].ID) {
		page, err := c.DeadList(ctx, after, listPage)
		letters = append(letters, page...)
		if err != nil || len(page) < listPage {
			return letters, err
		}
	}
}

func writeLetters(w io.Writer, letters []protocol.Letter, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		for i := range letters {
			if err := encoder.Encode(letterJSON(&letters[i])); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tSINCE\tCODE\tREASON")
	for i := range letters {
		l := &letters[i]
		fmt.Fprintf(table, "%d\t%s\t%d\t%s\n", l.ID, since(l), l.Code, printable(l.Reason))
	}
	return table.Flush()
}

func since(l *protocol.Letter) string { return l.At.UTC().Format(time.RFC3339) }

func newDeadShow(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "show id", Short: "Show a dead letter with the changes that MySQL does not have", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			if format != "table" && format != "json" {
				return badFormat(format)
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				letters, err := c.DeadList(ctx, int64(id)-1, 1)
				switch {
				case err != nil:
					return err
				case len(letters) == 0 || letters[0].ID != id:
					return fmt.Errorf("ticket %d is not a dead letter", id)
				case format == "json":
					return writeLetters(o.out, letters, format)
				default:
					return writeLetter(o.out, &letters[0])
				}
			})
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func writeLetter(w io.Writer, l *protocol.Letter) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "refused since\t%s\nerror\t%d %s\n", since(l), l.Code, printable(l.Reason))
	if l.Deleted {
		fmt.Fprintln(table, "refused change\tthe ticket's deletion")
	}
	if err := table.Flush(); err != nil {
		return err
	}
	return writeTicket(w, &protocol.Ticket{ID: int64(l.ID), Revision: int64(l.Revision), Fields: l.Fields})
}

func letterJSON(l *protocol.Letter) map[string]any {
	letter := ticketJSON(&protocol.Ticket{ID: int64(l.ID), Revision: int64(l.Revision), Fields: l.Fields, Cut: l.Cut})
	letter["code"], letter["reason"], letter["at_ms"], letter["deleted"] = l.Code, l.Reason, l.At.UnixMilli(), l.Deleted
	return letter
}

func newDeadRetry(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "retry {id… | --all}", Short: "Flush dead letters to MySQL again",
		Args: cobra.MaximumNArgs(protocol.MaxTickets),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.eachDead(cmd.Context(), args, all, "put back into the queue", (*protocol.Client).DeadRetry)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters")
	return cmd
}

func newDeadDrop(o *options) *cobra.Command {
	var all, yes bool
	cmd := &cobra.Command{
		Use: "drop {id… | --all} --yes", Short: "Drop for good the changes that MySQL rejects",
		Args: cobra.MaximumNArgs(protocol.MaxTickets),
		Long: "Drop for good the changes that MySQL rejects: the tickets are again as in MySQL, and a ticket\n" +
			"that MySQL never had is gone. 'ticketd dead show' prints the changes that would be lost.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return &usageError{errors.New("acknowledged changes would be lost for good: add --yes to confirm")}
			}
			return o.eachDead(cmd.Context(), args, all, "dropped", (*protocol.Client).DeadDrop)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead letters")
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, lose these changes")
	return cmd
}

// eachDead calls do for the tickets that are named, or for all, and says how many were dead letters.
func (o *options) eachDead(
	ctx context.Context, args []string, all bool, done string,
	do func(*protocol.Client, context.Context, []int64) (int64, error),
) error {
	ids, err := parseIDs(args)
	switch {
	case err != nil:
		return err
	case all == (len(ids) > 0):
		return &usageError{errors.New("name the tickets, or use --all, but not both")}
	case all:
		ids = nil
	}
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		n, err := do(c, ctx, ids)
		if err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%s %d\n", done, n)
		if int(n) < len(ids) {
			return fmt.Errorf("%d of the %d tickets are not dead letters", len(ids)-int(n), len(ids))
		}
		return nil
	})
}
