package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ticketd/ticketd/protocol"
)

// watchEvery is how often --watch asks.
const watchEvery = time.Second

func newStatus(o *options) *cobra.Command {
	var format string
	var watch bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show the backlog, and whether Redis and MySQL answer", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := statusWriter(format)
			if err != nil {
				return err
			}
			if watch {
				return o.watch(cmd.Context(), write)
			}
			return o.status(cmd.Context(), write)
		},
	}
	addFormat(cmd, &format)
	cmd.Flags().BoolVar(&watch, "watch", false, "show it again every second, until interrupted")
	return cmd
}

func (o *options) status(ctx context.Context, write func(io.Writer, *protocol.StatusResult) error) error {
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		status, err := c.Status(ctx)
		if err != nil {
			return err
		}
		return write(o.out, &status)
	})
}

// watch shows the status again and again. A daemon that is away for a moment does not end it.
func (o *options) watch(ctx context.Context, write func(io.Writer, *protocol.StatusResult) error) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for {
		if term.IsTerminal(int(o.out.Fd())) {
			fmt.Fprint(o.out, "\x1b[H\x1b[2J")
		}
		if err := o.status(ctx, write); err != nil && ctx.Err() == nil {
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

// writeLocal shows what is pending on this host's disk.
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
