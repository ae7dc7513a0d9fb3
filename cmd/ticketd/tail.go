package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
)

// tail prints the feed.
type tail struct {
	ticket int64
	types  []string
	from   string
	once   bool
	json   bool
}

func newFeedTail(o *options) *cobra.Command {
	var t tail
	cmd := &cobra.Command{
		Use: "tail", Short: "Print a site's changes as they are made", Args: cobra.NoArgs,
		Long: "Print a site's changes as they are made, a line for each, until the command is interrupted. The site's feed must\n" +
			"be on. An arrow leads from the old value to the new one; an old value that is not known is left out.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p := protocol.FeedReadParams{Limit: tailLimit, Wait: tailWait}
			if at, err := parseAgo(t.from, time.Now()); err == nil {
				p.Since = at
			} else if t.from != "" {
				p.After = strings.Split(t.from, ",")
			}
			follows := *o
			follows.timeout = 0 // of a single answer, not of the whole command
			err := follows.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				return t.follow(ctx, c, o.out, p)
			})
			if cmd.Context().Err() != nil {
				return nil //nolint:nilerr // interrupted, as intended
			}
			return err
		},
	}
	flags := cmd.Flags()
	flags.Int64Var(&t.ticket, "ticket", 0, "only changes of this ticket")
	flags.StringSliceVar(&t.types, "type", nil, "only events of these kinds, such as updated,deleted")
	flags.StringVar(&t.from, "from", "", "begin at a time (2026-11-29T10:00, or 1h for an hour ago), or at the \"cursor\" of --json")
	flags.BoolVar(&t.once, "no-follow", false, "end when there are no more events")
	flags.BoolVar(&t.json, "json", false, "an event as JSON on each line")
	return cmd
}

const (
	tailLimit = 500
	// tailWait is the longest wait for an event; the daemon answers earlier.
	tailWait = 30 * time.Second
)

// follow prints events until ctx ends, or, with once, until there are no more.
func (t *tail) follow(ctx context.Context, c *protocol.Client, out io.Writer, p protocol.FeedReadParams) error {
	for {
		reading, cancel := context.WithTimeout(ctx, protocol.MaxTimeout)
		if t.once {
			p.Wait = 0
		}
		result, err := c.FeedRead(reading, p)
		cancel()
		if err != nil {
			return err
		}
		for i := range result.Events {
			if err := t.print(out, &result.Events[i]); err != nil {
				return err
			}
		}
		if t.once && len(result.Events) == 0 {
			return nil
		}
		p.After, p.Since = result.Next, time.Time{}
	}
}

func (t *tail) print(out io.Writer, e *protocol.FeedEvent) error {
	if t.ticket != 0 && e.Ticket != t.ticket || len(t.types) > 0 && !slices.Contains(t.types, e.Kind) {
		return nil
	}
	if t.json {
		return json.NewEncoder(out).Encode(eventJSON(e))
	}
	_, err := fmt.Fprintln(out, eventLine(e))
	return err
}

// eventLine is the line of an event, safe for a terminal.
func eventLine(e *protocol.FeedEvent) string {
	parts := []string{e.At.Local().Format("15:04:05.000")} //nolint:gosmopolitan // the operator's own time
	if e.Ticket != 0 {
		parts = append(parts, strconv.FormatInt(e.Ticket, 10))
	}
	parts = append(parts, e.Kind)
	for _, f := range e.Fields {
		text := valueText(f.Value)
		if old, known := e.Was.Get(f.Name); known {
			text = valueText(old) + "→" + text
		}
		parts = append(parts, f.Name+" "+text)
	}
	for _, name := range e.Omitted {
		parts = append(parts, name+" (not shown)")
	}
	if e.Lost > 0 {
		parts = append(parts, fmt.Sprintf("%d events are lost", e.Lost))
	}
	if e.By != "" {
		by := "by " + e.By
		if e.Via != "" {
			by += " (" + e.Via + ")"
		}
		parts = append(parts, by)
	}
	if e.Note != "" {
		parts = append(parts, e.Note)
	}
	if e.Revision != 0 {
		parts = append(parts, fmt.Sprint("rev ", e.Revision))
	}
	return strings.Join(parts, "  ")
}

// maxShown is the length from which a value is cut on a line.
const maxShown = 60

// valueText is a value for a terminal: short, on one line, without control characters.
func valueText(v protocol.Value) string {
	if v.IsNull() {
		return "NULL"
	}
	text := v.Text()
	if runes := []rune(text); len(runes) > maxShown {
		text = string(runes[:maxShown]) + "…"
	}
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f && r < 0xa0 || r == '→' }
	if text == "" || strings.ContainsFunc(text, odd) {
		return fmt.Sprintf("%q", text)
	}
	return text
}

// eventJSON is an event as an object, with the keys of the protocol.
func eventJSON(e *protocol.FeedEvent) map[string]any {
	values := func(fields protocol.Fields) map[string]any {
		all := make(map[string]any, len(fields))
		for _, f := range fields {
			switch {
			case f.Value.IsNull():
				all[f.Name] = nil
			case f.Value.IsInt():
				all[f.Name] = f.Value.Int()
			default:
				all[f.Name] = f.Value.Text()
			}
		}
		return all
	}
	event := map[string]any{
		"id": e.ID, "kind": e.Kind, "at_us": e.At.UnixMicro(), "recorded_us": e.Recorded.UnixMicro(), "partition": e.Partition,
		"number": e.Number, "cursor": e.Cursor,
	}
	for key, n := range map[string]int64{
		"ticket": e.Ticket, "revision": e.Revision, "previous": e.Previous, "acknowledged": e.Acknowledged, "from": e.From,
		"first": e.First, "last": e.Last, "lost": e.Lost,
	} {
		if n != 0 {
			event[key] = n
		}
	}
	for key, text := range map[string]string{"by": e.By, "via": e.Via, "note": e.Note} {
		if text != "" {
			event[key] = text
		}
	}
	if e.Complete {
		event["complete"] = true
	}
	if len(e.Fields) > 0 {
		event["fields"] = values(e.Fields)
	}
	if len(e.Was) > 0 {
		event["was"] = values(e.Was)
	}
	if len(e.Omitted) > 0 {
		event["omitted"] = e.Omitted
	}
	return event
}
