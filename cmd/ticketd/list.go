package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
)

// listPage is how many tickets are asked for at once: so many fit a frame unless they are very large.
const listPage = 200

// listFields are shown in a table unless --fields says otherwise.
var listFields = []string{"status", "priority", "category", "assigned_to", "customer_id", "updated_at", "subject"}

// listOptions are the flags of list.
type listOptions struct {
	selection selectionFlags
	params    protocol.ListParams
	sort      string
	limit     int
	fields    []string
	format    string
}

func newList(o *options) *cobra.Command {
	l := &listOptions{}
	cmd := &cobra.Command{
		Use: "list", Short: "List tickets by what they hold", Args: cobra.NoArgs,
		Long: "List tickets by their fields, with all pending changes.\n\n" + selectionHelp,
		Example: "  ticketd list --status open,pending --sort updated_at\n" +
			"  ticketd list --where assigned_to:null --where category=billing --limit 0 --format json",
		RunE: func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context(), o) },
	}
	l.selection.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&l.sort, "sort", "ticket_id", "ticket_id, created_at, updated_at, priority or status")
	flags.BoolVar(&l.params.Ascending, "asc", false, "lowest first")
	flags.IntVar(&l.limit, "limit", protocol.DefaultLimit, "how many tickets; 0 is all")
	flags.StringVar(&l.params.After, "after", "", "go on where an earlier list ended: the cursor that it printed")
	flags.StringSliceVar(&l.fields, "fields", listFields, "the columns of the table")
	addFormat(cmd, &l.format)
	return cmd
}

func (l *listOptions) run(ctx context.Context, o *options) error {
	if l.format != "table" && l.format != "json" {
		return badFormat(l.format)
	}
	if l.limit < 0 {
		return &usageError{fmt.Errorf("--limit %d: it is 0 or more", l.limit)}
	}
	selection, err := l.selection.selection()
	if err != nil {
		return err
	}
	l.params.Selection, l.params.Sort = selection, protocol.Sort(l.sort)
	return o.call(ctx, func(ctx context.Context, c *protocol.Client) error {
		found, err := l.pages(ctx, c)
		if err != nil {
			return err
		}
		if err := l.write(o.out, found.Tickets); err != nil {
			return err
		}
		if found.Next != "" {
			fmt.Fprintf(o.err, "there are more: --after %s\n", found.Next)
		}
		o.noteStale(found.Stale, found.Locked)
		return nil
	})
}

// pages asks page by page until it has as many tickets as are wanted.
func (l *listOptions) pages(ctx context.Context, c *protocol.Client) (protocol.ListResult, error) {
	p := l.params
	var found protocol.ListResult
	for {
		p.Limit = listPage
		if l.limit > 0 {
			p.Limit = min(listPage, l.limit-len(found.Tickets))
		}
		page, err := c.List(ctx, p)
		if err != nil {
			return found, err
		}
		found.Tickets, found.Next = append(found.Tickets, page.Tickets...), page.Next
		found.Stale = found.Stale || page.Stale
		if page.Locked != nil {
			found.Locked = page.Locked
		}
		if page.Next == "" || len(found.Tickets) == l.limit {
			return found, nil
		}
		p.After = page.Next
	}
}

func (l *listOptions) write(w io.Writer, tickets []*protocol.Ticket) error {
	if l.format == "json" {
		encoder := json.NewEncoder(w)
		for _, t := range tickets {
			if err := encoder.Encode(ticketJSON(t)); err != nil {
				return err
			}
		}
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, strings.ToUpper("id\t"+strings.Join(l.fields, "\t")))
	for _, t := range tickets {
		fmt.Fprint(table, t.ID)
		for _, name := range l.fields {
			fmt.Fprint(table, "\t", cell(t.Fields, name))
		}
		fmt.Fprintln(table)
	}
	return table.Flush()
}

// cell is a field's value on one line.
func cell(fields []protocol.Field, name string) string {
	const longest = 60
	for _, f := range fields {
		if f.Name != name || f.Value.IsNull() {
			continue
		}
		text := []rune(printable(f.Value.Text()))
		if len(text) > longest {
			return string(text[:longest-1]) + "…"
		}
		return string(text)
	}
	return "-"
}

// printable keeps a text on its line; what a customer wrote must not steer the terminal.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
}

func newCount(o *options) *cobra.Command {
	f := &selectionFlags{}
	cmd := &cobra.Command{
		Use: "count", Short: "Count tickets by what they hold", Args: cobra.NoArgs,
		Long:    "Count tickets by their fields, with all pending changes.\n\n" + selectionHelp,
		Example: "  ticketd count --status open --updated-before 2026-11-01",
		RunE: func(cmd *cobra.Command, _ []string) error {
			selection, err := f.selection()
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				n, err := c.Count(ctx, selection)
				if err == nil {
					fmt.Fprintln(o.out, n.Count)
					o.noteStale(n.Stale, n.Locked)
				}
				return err
			})
		},
	}
	f.add(cmd)
	return cmd
}
