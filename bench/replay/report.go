package main

import (
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// print shows the table. It returns an error where an update failed or a ticket differs.
func (r *result) print(out io.Writer, s *sent) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(what, format string, args ...any) {
		fmt.Fprintf(table, "  %s\t%s\n", what, fmt.Sprintf(format, args...))
	}
	fmt.Fprintln(table)
	line("updates sent", "%d in %v, %.0f a second",
		s.updates, s.took.Round(time.Millisecond), float64(s.updates)/s.took.Seconds())
	line("updates failed", "%d", s.failed)
	line("tickets in the log", "%d", r.tickets)
	line("rows in wp_support_tickets", "%d", r.rows)
	line("rows exactly as the last line says", "%d", r.exact)
	line("dead letters", "%d", r.dead)
	line("row writes in MySQL", "%d", r.rowWrites)
	line("writing statements sent to MySQL", "%d", r.statements)
	if r.statements > 0 {
		line("updates per statement", "%.1f", float64(s.updates)/float64(r.statements))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var errs []error
	if s.failed > 0 {
		errs = append(errs, fmt.Errorf("%d updates failed, the first: %w", s.failed, s.firstFailure))
	}
	for _, d := range r.differences {
		errs = append(errs, errors.New(d))
	}
	if r.exact != r.tickets || r.rows != r.tickets || r.dead != 0 {
		errs = append(errs, fmt.Errorf("%d of %d tickets are in MySQL as their last line says", r.exact, r.tickets))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	fmt.Fprintln(out, "\n  Every ticket is in MySQL exactly as its last line says.")
	return nil
}
