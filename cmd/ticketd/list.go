package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
)

// listPage is the number of tickets in a request: a frame has room for that many unless tickets are very large.
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

// listCommands select tickets by fields.
func listCommands(o *options) []*cobra.Command {
	return []*cobra.Command{newList(o), newCount(o)}
}

func newList(o *options) *cobra.Command {
	l := &listOptions{}
	cmd := &cobra.Command{
		Use: "list", Short: "List tickets by their fields", Args: cobra.NoArgs,
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
	flags.StringVar(&l.params.After, "after", "", "continue after an earlier list: the cursor that the list printed")
	flags.StringSliceVar(&l.fields, "fields", listFields, "the columns of the table")
	addFormat(cmd, &l.format)
	return cmd
}

func (l *listOptions) run(ctx context.Context, o *options) error {
	if l.format != "table" && l.format != "json" {
		return badFormat(l.format)
	}
	if l.limit < 0 {
		return &usageError{fmt.Errorf("--limit %d: the limit is 0 or more", l.limit)}
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
			fmt.Fprintf(o.err, "for more tickets: --after %s\n", found.Next)
		}
		o.noteStale(found.Stale, found.Locked)
		return nil
	})
}

// pages asks page by page for the wanted number of tickets.
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

// cell shows the value of a field on a single line.
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

// printable keeps a text on the line: text from a customer must not steer the terminal.
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
		Use: "count", Short: "Count tickets by their fields", Args: cobra.NoArgs,
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

const selectionHelp = "All conditions must hold. With several values for a field, a ticket must have one of the values.\n" +
	"--where takes any column, ticket_id and revision: name=value, name!=value, and <, <=, > and >= (quote them for the shell);\n" +
	"name:null and name!:null for NULL. name!=value finds NULL, too. Times are UTC: 2026-11-24, or 2026-11-24T08:00:00Z."

// filterFlags are the fields with their own flags.
var filterFlags = []struct{ flag, field string }{
	{"status", "status"}, {"customer", "customer_id"}, {"assignee", "assigned_to"},
	{"category", "category"}, {"priority", "priority"},
}

// selectionFlags say which tickets are meant.
type selectionFlags struct {
	values           [][]string // by filterFlags
	where            []string
	created, updated struct{ from, before string }
	deleted, stale   bool
}

func (f *selectionFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.values = make([][]string, len(filterFlags))
	for i, filter := range filterFlags {
		flags.StringSliceVar(&f.values[i], filter.flag, nil, "only tickets with one of these values in "+filter.field)
	}
	flags.StringArrayVar(&f.where, "where", nil,
		"only tickets for which this holds: name=value, name!=value, name>value, name:null; may be repeated")
	flags.StringVar(&f.created.from, "created-from", "", "only tickets created at this time or later")
	flags.StringVar(&f.created.before, "created-before", "", "only tickets created before this time")
	flags.StringVar(&f.updated.from, "updated-from", "", "only tickets last changed at this time or later")
	flags.StringVar(&f.updated.before, "updated-before", "", "only tickets last changed before this time")
	flags.BoolVar(&f.deleted, "deleted", false, "deleted tickets too")
	flags.BoolVar(&f.stale, "stale", false, "answer from MySQL as it is, without flushing first")
}

func (f *selectionFlags) selection() (protocol.Selection, error) {
	s := protocol.Selection{
		Created: period(f.created.from, f.created.before), Updated: period(f.updated.from, f.updated.before),
		Deleted: f.deleted, Stale: f.stale,
	}
	for i, filter := range filterFlags {
		for _, text := range f.values[i] {
			addFilter(&s, filter.field, protocol.Equal, protocol.Text(text))
		}
	}
	for _, text := range f.where {
		if err := parseFilter(&s, text); err != nil {
			return s, err
		}
	}
	return s, nil
}

// comparison is a condition of --where: a name, an operator or the colon of NULL, and the rest.
var comparison = regexp.MustCompile(`(?s)^([A-Za-z0-9_-]+)(!=|<=|>=|=|<|>|:null$|!:null$)(.*)$`)

// parseFilter reads a condition of --where.
func parseFilter(s *protocol.Selection, text string) error {
	part := comparison.FindStringSubmatch(text)
	if part == nil {
		return &usageError{fmt.Errorf("%q is no condition: name=value, name!=value, name<value, name<=value, name>value, "+
			"name>=value, name:null or name!:null", text)}
	}
	name, is, value := part[1], protocol.Operator(part[2]), protocol.Text(part[3])
	switch part[2] {
	case ":null":
		is, value = protocol.Equal, protocol.Null
	case "!:null":
		is, value = protocol.NotEqual, protocol.Null
	}
	if !addFilter(s, name, is, value) {
		return &usageError{fmt.Errorf("--where %q: the field has such a bound already", text)}
	}
	return nil
}

// addFilter adds a comparison of a field, or a value to one that takes several.
func addFilter(s *protocol.Selection, name string, is protocol.Operator, value protocol.Value) bool {
	i := slices.IndexFunc(s.Where, func(f protocol.Filter) bool { return f.Field == name && f.Is == is })
	switch {
	case i < 0:
		s.Where = append(s.Where, protocol.Filter{Field: name, Is: is, Values: []protocol.Value{value}})
	case !is.TakesList():
		return false
	default:
		s.Where[i].Values = append(s.Where[i].Values, value)
	}
	return true
}

func period(from, before string) protocol.Period {
	end := func(text string) protocol.Value {
		if strings.TrimSpace(text) == "" {
			return protocol.Null
		}
		return protocol.Text(text)
	}
	return protocol.Period{From: end(from), Before: end(before)}
}
