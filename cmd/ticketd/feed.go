package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/feed/webhook"
)

// feedCommands are about who follows the changes.
func feedCommands(o *options) []*cobra.Command { return []*cobra.Command{newFeed(o), newHistory(o)} }

func newFeed(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "feed", Short: "Show and operate the destinations of a site's changes", Args: cobra.NoArgs,
		Long: "Without a command: show the destinations, with their state and their lag. A destination that is 'retrying' or\n" +
			"'paused' names its reason, and its events wait in the feed. 'gaps' are events that the destination will not get any\n" +
			"more: 'ticketd feed snapshot' sends all tickets.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if format != "table" && format != "json" {
				return badFormat(format)
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				status, err := c.FeedStatus(ctx)
				if err != nil {
					return err
				}
				return writeFeed(o.out, &status, format)
			})
		},
	}
	addFormat(cmd, &format)
	control := func(use string, action protocol.FeedAction, short, done string) *cobra.Command {
		return &cobra.Command{
			Use: use + " name", Short: short, Args: cobra.ExactArgs(1),
			RunE: func(cmd *cobra.Command, args []string) error {
				return o.feedControl(cmd.Context(), args[0], action, time.Time{}, done)
			},
		}
	}
	cmd.AddCommand(
		control("test", protocol.FeedTest, "Send a test event to a destination", "the destination confirmed a test event"),
		control("pause", protocol.FeedPause, "Send nothing to a destination until resume; its events wait", "paused"),
		control("resume", protocol.FeedResume, "End a pause, and try the destination at once", "resumed"),
		control("snapshot", protocol.FeedSnapshot, "Send every ticket as it is, for a new consumer or after a gap", "begun"),
		newFeedRewind(o), newFeedTail(o), newFeedDead(o), newFeedSecret(o),
	)
	return cmd
}

func (o *options) feedControl(ctx context.Context, name string, action protocol.FeedAction, to time.Time, done string) error {
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		if err := c.FeedControl(ctx, name, action, to); err != nil {
			return err
		}
		fmt.Fprintln(o.out, done)
		return nil
	})
}

func newFeedRewind(o *options) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "rewind name --to time", Short: "Send everything again that happened since a time", Args: cobra.ExactArgs(1),
		Long: "Send everything again that came into the feed since a time, as far as the feed still has it (feed.keep). The time is\n" +
			"like 2026-11-29T10:00, in this host's time zone, or like 2h for two hours ago.",
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := parseAgo(to, time.Now())
			if err != nil {
				return &usageError{err}
			}
			return o.feedControl(cmd.Context(), args[0], protocol.FeedRewind, at, "rewound to "+at.UTC().Format(time.RFC3339))
		},
	}
	cmd.Flags().StringVar(&to, "to", "", "the time: 2026-11-29T10:00, or 2h for two hours ago")
	return cmd
}

// parseAgo reads a time, or how long ago it was.
func parseAgo(text string, now time.Time) (time.Time, error) {
	if ago, err := time.ParseDuration(text); err == nil {
		return now.Add(-ago.Abs()), nil
	}
	for _, layout := range []string{
		time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02",
	} {
		if at, err := time.ParseInLocation(layout, text, time.Local); err == nil { //nolint:gosmopolitan // the operator's own time
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("--to %q is no time: write 2026-11-29T10:00, or 2h for two hours ago", text)
}

func newFeedSecret(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "secret", Short: "Make a secret that signs the requests of a webhook", Args: cobra.NoArgs,
		Long: "Make a secret that signs the requests of a webhook, in the form of Standard Webhooks. Put the secret into the file\n" +
			"that secret_file names, and give it to the receiver. To change a secret, put the new one above the old one: requests\n" +
			"have two signatures until the second line is removed.",
		RunE: func(*cobra.Command, []string) error {
			fmt.Fprintln(o.out, webhook.NewSecret())
			return nil
		},
	}
}

func writeFeed(w io.Writer, s *protocol.FeedStatusResult, format string) error {
	if format == "json" {
		return json.NewEncoder(w).Encode(feedJSON(s))
	}
	if !s.Enabled && len(s.Destinations) == 0 {
		_, err := fmt.Fprintln(w, "the feed is off: no destination and no history is configured")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tKIND\tSTATE\tLAG\tEVENTS\tSENT\tHELD\tDEAD\tGAPS\tREASON")
	for i := range s.Destinations {
		d := &s.Destinations[i]
		reason := printable(d.Reason)
		if d.Snapshot {
			reason = fmt.Sprintf("snapshot: %d tickets so far; %s", d.Rows, reason)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%v\t%d\t%d\t%d\t%d\t%d\t%s\n", d.Name, d.Kind, d.State, millis(d.LagMS).Round(time.Millisecond),
			d.LagEvents, d.Sent, d.Held, d.Letters, d.Gaps, reason)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d events of %d bytes in the store\n", s.Backlog, s.BacklogBytes)
	if err == nil && s.History.Enabled {
		_, err = fmt.Fprintf(w, "history: about %d rows of %d bytes, kept for %v\n", s.History.Rows, s.History.Bytes,
			millis(s.History.KeepMS))
	}
	return err
}

func feedJSON(s *protocol.FeedStatusResult) map[string]any {
	destinations := make([]map[string]any, len(s.Destinations))
	for i := range s.Destinations {
		d := &s.Destinations[i]
		destinations[i] = map[string]any{
			"name": d.Name, "kind": d.Kind, "state": d.State, "reason": d.Reason, "since_ms": d.SinceMS, "lag_events": d.LagEvents,
			"lag_ms": d.LagMS, "letters": d.Letters, "held": d.Held, "gaps": d.Gaps, "lost": d.Lost, "sent": d.Sent,
			"snapshot": d.Snapshot, "rows": d.Rows, "runner": d.Runner,
		}
	}
	return map[string]any{
		"enabled": s.Enabled, "backlog": s.Backlog, "backlog_bytes": s.BacklogBytes, "destinations": destinations,
		"history": map[string]any{
			"enabled": s.History.Enabled, "rows": s.History.Rows, "bytes": s.History.Bytes, "keep_ms": s.History.KeepMS,
		},
	}
}

func newFeedDead(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead", Short: "Show, retry or drop events that a destination refuses", Args: cobra.NoArgs,
		Long: "An event that a destination refuses is tried for give_up, while later events of the same ticket wait; then the event\n" +
			"is a dead letter, and the ticket's later events follow.",
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newFeedDeadList(o), newFeedDeadShow(o), newFeedDeadRetry(o), newFeedDeadDrop(o))
	return cmd
}

func newFeedDeadList(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "list name", Short: "List the events that a destination refuses, the oldest first", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if format != "table" && format != "json" {
				return badFormat(format)
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				var all []protocol.FeedLetter
				for after := int64(0); ; after = all[len(all)-1].ID {
					page, err := c.FeedDeadList(ctx, args[0], after, listPage)
					if err != nil {
						return err
					}
					if len(page) == 0 {
						return writeFeedLetters(o.out, all, format)
					}
					all = append(all, page...)
				}
			})
		},
	}
	addFormat(cmd, &format)
	return cmd
}

func writeFeedLetters(w io.Writer, letters []protocol.FeedLetter, format string) error {
	if format == "json" {
		encoder := json.NewEncoder(w)
		for i := range letters {
			if err := encoder.Encode(feedLetterJSON(&letters[i])); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tTICKET\tTYPE\tSINCE\tTRIES\tSTATE\tREASON")
	for i := range letters {
		l := &letters[i]
		fmt.Fprintf(table, "%d\t%d\t%s\t%s\t%d\t%s\t%s\n", l.ID, l.Ticket, l.Kind, l.Since.UTC().Format(time.RFC3339), l.Tries,
			letterState(l), printable(l.Reason))
	}
	return table.Flush()
}

func letterState(l *protocol.FeedLetter) string {
	if l.Held {
		return "tried"
	}
	return "dead"
}

func feedLetterJSON(l *protocol.FeedLetter) map[string]any {
	return map[string]any{
		"id": l.ID, "ticket": l.Ticket, "revision": l.Revision, "kind": l.Kind, "since_us": l.Since.UnixMicro(),
		"at_us": l.At.UnixMicro(), "tries": l.Tries, "held": l.Held, "reason": l.Reason, "answer": l.Answer,
		"fields": ticketJSON(&protocol.Ticket{Fields: l.Fields})["fields"],
	}
}

func newFeedDeadShow(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "show name key", Short: "Show an event that a destination refuses, with the destination's answer",
		Args: cobra.ExactArgs(2), //nolint:mnd // as in Use
		RunE: func(cmd *cobra.Command, args []string) error {
			keys, err := parseKeys(args[1:])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				letters, err := c.FeedDeadList(ctx, args[0], max(keys[0]-1, 0), 1)
				switch {
				case err != nil:
					return err
				case len(letters) == 0 || letters[0].ID != keys[0]:
					return fmt.Errorf("%s has no letter %d", args[0], keys[0])
				}
				l := &letters[0]
				fmt.Fprintf(o.out, "refused since %s, %d tries, %s\nreason: %s\n", l.Since.UTC().Format(time.RFC3339), l.Tries,
					letterState(l), printable(l.Reason))
				if l.Answer != "" {
					fmt.Fprintf(o.out, "answer: %s\n", printable(l.Answer))
				}
				return writeTicket(o.out, &protocol.Ticket{ID: l.Ticket, Revision: l.Revision, Fields: l.Fields})
			})
		},
	}
}

func newFeedDeadRetry(o *options) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "retry name {key… | --all}", Short: "Try dead events again", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.eachLetter(cmd.Context(), args, all, "tried again", (*protocol.Client).FeedDeadRetry)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead events")
	return cmd
}

func newFeedDeadDrop(o *options) *cobra.Command {
	var all, yes bool
	cmd := &cobra.Command{
		Use: "drop name {key… | --all} --yes", Short: "Drop events that a destination refuses", Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return &usageError{errors.New("the destination would never get these events: add --yes to confirm")}
			}
			return o.eachLetter(cmd.Context(), args, all, "dropped", (*protocol.Client).FeedDeadDrop)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all dead events")
	cmd.Flags().BoolVar(&yes, "yes", false, "yes, lose these events")
	return cmd
}

// eachLetter calls do for the letters that are named, or for all dead ones, and says how many there were.
func (o *options) eachLetter(
	ctx context.Context, args []string, all bool, done string,
	do func(*protocol.Client, context.Context, string, []int64) (int64, error),
) error {
	keys, err := parseKeys(args[1:])
	switch {
	case err != nil:
		return err
	case all == (len(keys) > 0):
		return &usageError{errors.New("name the letters by their keys, or use --all, but not both")}
	case all:
		keys = nil
	}
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		n, err := do(c, ctx, args[0], keys)
		if err != nil {
			return err
		}
		fmt.Fprintf(o.out, "%s %d\n", done, n)
		if int(n) < len(keys) {
			return fmt.Errorf("%d of the %d letters are not there", len(keys)-int(n), len(keys))
		}
		return nil
	})
}

func parseKeys(args []string) ([]int64, error) {
	keys := make([]int64, len(args))
	for i, arg := range args {
		key, err := strconv.ParseInt(arg, 10, 64)
		if err != nil || key < 1 {
			return nil, &usageError{fmt.Errorf("%q is no letter's key: 'ticketd feed dead list' shows the keys", arg)}
		}
		keys[i] = key
	}
	return keys, nil
}

func newHistory(o *options) *cobra.Command {
	var field string
	var asJSON bool
	var limit int
	cmd := &cobra.Command{
		Use: "history id", Short: "Show who changed a ticket, when, and from what to what", Args: cobra.ExactArgs(1),
		Long: "Show who changed a ticket, when, and from what to what, the newest change first. The site must keep a history:\n" +
			"enabled = true in the section [sites.NAME.history].",
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				return o.history(ctx, c, protocol.HistoryParams{ID: int64(id), Field: field}, limit, asJSON)
			})
		},
	}
	cmd.Flags().StringVar(&field, "field", "", "changes of this field alone")
	cmd.Flags().BoolVar(&asJSON, "json", false, "a JSON object for each change")
	cmd.Flags().IntVar(&limit, "limit", 0, "at most so many changes; 0 is all")
	return cmd
}

func (o *options) history(ctx context.Context, c *protocol.Client, p protocol.HistoryParams, limit int, asJSON bool) error {
	shown := 0
	for {
		p.Limit = listPage
		if limit > 0 {
			p.Limit = min(listPage, limit-shown)
		}
		page, err := c.History(ctx, p)
		if err != nil {
			return err
		}
		if p.Before == 0 && page.Stale {
			fmt.Fprintln(o.err, "the history lags: the latest changes may be missing from this answer")
		}
		for i := range page.Changes {
			if err := writeChange(o.out, &page.Changes[i], asJSON); err != nil {
				return err
			}
		}
		shown += len(page.Changes)
		if page.Next == 0 || limit > 0 && shown >= limit {
			return nil
		}
		p.Before = page.Next
	}
}

func writeChange(w io.Writer, c *protocol.HistoryChange, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(changeJSON(c))
	}
	line := c.At.UTC().Format("2006-01-02 15:04:05.000") + "  " + c.Kind
	if c.By != "" {
		line += "  by " + printable(c.By)
	}
	if c.Via != "" {
		line += " (" + printable(c.Via) + ")"
	}
	if _, err := fmt.Fprintln(w, line); err != nil {
		return err
	}
	for i := range c.Values {
		if _, err := fmt.Fprintf(w, "    %s\n", changeText(&c.Values[i])); err != nil {
			return err
		}
	}
	var notes []string
	if c.Erased {
		notes = append(notes, "values erased")
	}
	if c.Gap {
		notes = append(notes, "changes before this one may be missing")
	}
	if len(notes) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "    (%s)\n", strings.Join(notes, "; "))
	return err
}

func changeText(c *protocol.FieldChange) string {
	show := func(v protocol.Value) string {
		if v.IsNull() {
			return "NULL"
		}
		return printable(v.Text())
	}
	const both = 2
	switch len(c.Values) {
	case both:
		return c.Name + ": " + show(c.Values[0]) + " → " + show(c.Values[1])
	case 1:
		return c.Name + ": ? → " + show(c.Values[0])
	default:
		return c.Name + ": changed, without values"
	}
}

func changeJSON(c *protocol.HistoryChange) map[string]any {
	values := map[string]any{}
	for i := range c.Values {
		of := make([]any, len(c.Values[i].Values))
		for n, v := range c.Values[i].Values {
			switch {
			case v.IsNull():
			case v.IsInt():
				of[n] = v.Int()
			default:
				of[n] = v.Text()
			}
		}
		values[c.Values[i].Name] = of
	}
	return map[string]any{
		"revision": c.Revision, "kind": c.Kind, "at": c.At.UTC().Format(time.RFC3339Nano), "by": c.By, "via": c.Via, "changes": values,
		"erased": c.Erased, "gap": c.Gap,
	}
}
