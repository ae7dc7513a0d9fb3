package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
)

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
