package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
)

func newDead(o *options) *cobra.Command {
	cmd := &cobra.Command{
		Use: "dead", Short: "Show, retry or give up changes that MySQL refuses", Args: cobra.NoArgs,
		Long: "A dead letter is a ticket with changes that MySQL refuses. It can be read, holds up no other ticket, and\n" +
			"becomes an ordinary ticket again with the next good write. Without one: retry it when the table takes it,\n" +
			"or drop its changes.",
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
					return fmt.Errorf("ticket %d is no dead letter", id)
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
		Use: "retry {id… | --all}", Short: "Try again to bring dead letters to MySQL",
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
		Use: "drop {id… | --all} --yes", Short: "Give up for good what MySQL refuses",
		Args: cobra.MaximumNArgs(protocol.MaxTickets),
		Long: "Give up for good the changes that MySQL refuses: the tickets are again what MySQL has of them, and one\n" +
			"that MySQL has never had is gone. 'ticketd dead show' prints what would be lost.",
		RunE: func(cmd *cobra.Command, args []string) error {
			if !yes {
				return &usageError{errors.New("acknowledged changes would be lost for good: add --yes if that is meant")}
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
		return &usageError{errors.New("name the tickets, or all of them with --all, one of the two")}
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
			return fmt.Errorf("%d of the %d tickets are no dead letters", len(ids)-int(n), len(ids))
		}
		return nil
	})
}
