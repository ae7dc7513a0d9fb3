package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/protocol"
)

const selectionHelp = "All that is asked for must hold. Of several values for one field a ticket must have one.\n" +
	"--where takes any column as name=value, or name:null for NULL. Times are UTC: 2026-11-24, or 2026-11-24T08:00:00Z."

// filterFlags are the fields that have a flag of their own.
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
		flags.StringSliceVar(&f.values[i], filter.flag, nil, "only with one of these in "+filter.field)
	}
	flags.StringArrayVar(&f.where, "where", nil, "only with this in a field: name=value or name:null; may be repeated")
	flags.StringVar(&f.created.from, "created-from", "", "only those created at this time or later")
	flags.StringVar(&f.created.before, "created-before", "", "only those created before this time")
	flags.StringVar(&f.updated.from, "updated-from", "", "only those changed at this time or later")
	flags.StringVar(&f.updated.before, "updated-before", "", "only those last changed before this time")
	flags.BoolVar(&f.deleted, "deleted", false, "deleted tickets too")
	flags.BoolVar(&f.stale, "stale", false, "what MySQL has by now, without flushing first")
}

func (f *selectionFlags) selection() (protocol.Selection, error) {
	s := protocol.Selection{
		Created: period(f.created.from, f.created.before), Updated: period(f.updated.from, f.updated.before),
		Deleted: f.deleted, Stale: f.stale,
	}
	for i, filter := range filterFlags {
		for _, text := range f.values[i] {
			addFilter(&s, protocol.Field{Name: filter.field, Value: protocol.Text(text)})
		}
	}
	fields, err := parseFields(f.where)
	for _, field := range fields {
		addFilter(&s, field)
	}
	return s, err
}

// addFilter adds a value to those that a field may have.
func addFilter(s *protocol.Selection, field protocol.Field) {
	i := slices.IndexFunc(s.Where, func(f protocol.Filter) bool { return f.Field == field.Name })
	if i < 0 {
		i = len(s.Where)
		s.Where = append(s.Where, protocol.Filter{Field: field.Name})
	}
	s.Where[i].Values = append(s.Where[i].Values, field.Value)
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
