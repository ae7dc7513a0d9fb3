package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/doctor"
	"github.com/ticketd/ticketd/internal/version"
)

func newDoctor(o *options) *cobra.Command {
	var f configFlags
	var format, user string
	cmd := &cobra.Command{
		Use: "doctor", Short: "Look at everything that ticketd needs, and say what to do where something is wrong", Args: cobra.NoArgs,
		Long: "Look at the daemon and its socket, Redis, MySQL, the journal, the spool and PHP's side of them. Changes nothing; " +
			"run it as\n" +
			"root, which may look everywhere. Exits non-zero where something does not work; warnings alone leave it at zero.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, err := findingsWriter(format)
			if err != nil {
				return err
			}
			return o.doctor(cmd.Context(), &f, user, write)
		},
	}
	f.add(cmd)
	addFormat(cmd, &format)
	cmd.Flags().StringVar(&user, "user", "", "the daemon's user; taken from the daemon that runs where not given")
	return cmd
}

func (o *options) doctor(ctx context.Context, f *configFlags, user string, write func(io.Writer, []doctor.Finding) error) error {
	c, err := f.load()
	found := doctor.Run(ctx, doctor.Options{Config: c, LoadError: err, User: user, Version: version.String()})
	if err := write(o.out, found); err != nil {
		return err
	}
	if doctor.Worst(found) == doctor.Fail {
		return errors.New("something does not work: see what is marked fail")
	}
	return nil
}

func findingsWriter(format string) (func(io.Writer, []doctor.Finding) error, error) {
	switch format {
	case "table":
		return writeFindings, nil
	case "json":
		return func(w io.Writer, found []doctor.Finding) error { return json.NewEncoder(w).Encode(found) }, nil
	default:
		return nil, badFormat(format)
	}
}

func writeFindings(w io.Writer, found []doctor.Finding) error {
	for i := range found {
		f := &found[i]
		where := f.Area + " " + f.Check
		if f.Site != "" {
			where += " (" + f.Site + ")"
		}
		fmt.Fprintf(w, "%-4s  %s: %s\n", f.Verdict, where, f.Reason)
		if f.Fix != "" {
			fmt.Fprintf(w, "      -> %s\n", f.Fix)
		}
	}
	return nil
}
