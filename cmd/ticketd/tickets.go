package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// ticketCommands read and change single tickets.
func ticketCommands(o *options) []*cobra.Command {
	return []*cobra.Command{newPing(o), newCreate(o), newSet(o), newGet(o), newDelete(o)}
}

func newPing(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "ping", Short: "Ask whether the daemon answers", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				pong, err := c.Ping(ctx)
				if err == nil {
					fmt.Fprintf(o.out, "ticketd %s answers on %s\n", pong.Version, o.socket)
				}
				return err
			})
		},
	}
}

const fieldsHelp = "Fields are given as name=value; name= is the empty string and name:null is NULL."

func newCreate(o *options) *cobra.Command {
	var request string
	cmd := &cobra.Command{
		Use: "create field=value…", Short: "Create a ticket and print its id",
		Long:    "Create a ticket and print its id.\n\n" + fieldsHelp,
		Example: "  ticketd create subject='Where is my order?' status=open customer_id=7",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			fields, err := parseFields(args)
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				made, err := c.Create(ctx, fields, request)
				if err == nil {
					fmt.Fprintln(o.out, made.ID)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&request, "request-id", "", "makes the call repeatable for a day: the same id creates the same ticket")
	return cmd
}

func newSet(o *options) *cobra.Command {
	p := protocol.SetParams{}
	create := false
	cmd := &cobra.Command{
		Use: "set id field=value…", Short: "Change fields of a ticket and print its revision",
		Long: "Change fields of a ticket, keep the other fields, and print the ticket's revision. A ticket that does not " +
			"exist is an error, unless --create is given.\n\n" + fieldsHelp,
		Example: "  ticketd set 812 status=pending assigned_to:null",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			if p.Fields, err = parseFields(args[1:]); err != nil {
				return err
			}
			p.ID, p.MustExist = int64(id), !create
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				revision, err := c.Set(ctx, p)
				if err == nil {
					fmt.Fprintln(o.out, revision)
				}
				return err
			})
		},
	}
	cmd.Flags().StringVar(&p.RequestID, "request-id", "", "makes the call repeatable for a day: the same id changes nothing twice")
	cmd.Flags().Int64Var(&p.IfRevision, "if-revision", 0, "refuse unless the ticket is at this revision")
	cmd.Flags().BoolVar(&create, "create", false, "create the ticket if the ticket does not exist")
	return cmd
}

func newDelete(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "delete id", Short: "Delete a ticket", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := parseID(args[0])
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				_, err := c.Delete(ctx, int64(id), "")
				return err
			})
		},
	}
}

func newGet(o *options) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use: "get id…", Short: "Show tickets", Args: cobra.RangeArgs(1, protocol.MaxTickets),
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := parseIDs(args)
			if err != nil {
				return err
			}
			write, err := ticketWriter(format)
			if err != nil {
				return err
			}
			return o.call(cmd.Context(), func(ctx context.Context, c *protocol.Client) error {
				found, err := c.GetMany(ctx, ids)
				if err != nil {
					return err
				}
				stale := found.Stale
				var missing []string
				for i, t := range found.Tickets {
					if t == nil {
						missing = append(missing, strconv.FormatInt(ids[i], 10))
						continue
					}
					stale = stale || t.Stale
					if err := write(o.out, t); err != nil {
						return err
					}
				}
				o.noteStale(stale, nil)
				if len(missing) > 0 {
					return fmt.Errorf("the ticket does not exist, or was deleted: %s", strings.Join(missing, ", "))
				}
				return nil
			})
		},
	}
	addFormat(cmd, &format)
	return cmd
}

// addFormat adds --format with completion.
func addFormat(cmd *cobra.Command, format *string) {
	cmd.Flags().StringVar(format, "format", "table", "table or json")
	complete := cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp)
	_ = cmd.RegisterFlagCompletionFunc("format", complete) // fails only without the flag
}

func badFormat(format string) error {
	return &usageError{fmt.Errorf("--format %q: the format is table or json", format)}
}

func ticketWriter(format string) (func(io.Writer, *protocol.Ticket) error, error) {
	switch format {
	case "table":
		return writeTicket, nil
	case "json":
		return func(w io.Writer, t *protocol.Ticket) error { return json.NewEncoder(w).Encode(ticketJSON(t)) }, nil
	default:
		return nil, badFormat(format)
	}
}

func writeTicket(w io.Writer, t *protocol.Ticket) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "id\t%d\nrevision\t%d\n", t.ID, t.Revision)
	slices.SortFunc(t.Fields, func(a, b protocol.Field) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range t.Fields {
		value := strconv.Quote(f.Value.Text())
		switch {
		case f.Value.IsNull():
			value = "NULL"
		case f.Value.IsInt():
			value = f.Value.Text()
		}
		fmt.Fprintf(table, "%s\t%s\n", printable(f.Name), value)
	}
	return table.Flush()
}

func ticketJSON(t *protocol.Ticket) map[string]any {
	fields := make(map[string]any, len(t.Fields))
	for _, f := range t.Fields {
		switch {
		case f.Value.IsNull():
			fields[f.Name] = nil
		case f.Value.IsInt():
			fields[f.Name] = f.Value.Int()
		case !utf8.ValidString(f.Value.Text()): // bytes, which JSON has no form for
			fields[f.Name] = map[string]any{"hex": hex.EncodeToString([]byte(f.Value.Text()))}
		default:
			fields[f.Name] = f.Value.Text()
		}
	}
	all := map[string]any{"id": t.ID, "revision": t.Revision, "fields": fields}
	if t.Cut {
		all["cut"] = true
	}
	return all
}

// parseFields reads name=value and name:null.
func parseFields(args []string) ([]protocol.Field, error) {
	fields := make([]protocol.Field, 0, len(args))
	for _, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		switch {
		case found:
			fields = append(fields, protocol.Field{Name: name, Value: protocol.Text(value)})
		case strings.HasSuffix(arg, ":null"):
			fields = append(fields, protocol.Field{Name: strings.TrimSuffix(arg, ":null"), Value: protocol.Null})
		default:
			return nil, &usageError{fmt.Errorf("%q is not name=value or name:null", arg)}
		}
	}
	return fields, nil
}

func parseID(arg string) (ticket.ID, error) {
	id, err := ticket.ParseID(arg)
	if err != nil {
		return 0, &usageError{err}
	}
	return id, nil
}

func parseIDs(args []string) ([]int64, error) {
	ids := make([]int64, len(args))
	for i, arg := range args {
		id, err := parseID(arg)
		if err != nil {
			return nil, err
		}
		ids[i] = int64(id)
	}
	return ids, nil
}
