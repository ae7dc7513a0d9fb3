// Command bench measures ticketd and what people use instead, side by side on private servers, and compares the
// ratios with the targets. It exits with an error where a target is missed.
//
//	go run ./bench [--rows one,get] [--file incident_event_log.csv] [--write]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// Run measures the rows that the arguments name, all where they name none. The working directory is the module's root.
func Run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := flags.String("rows", "", "the rows to measure, separated by commas; all where it is empty")
	file := flags.String("file", "", "a help desk's event log for the row statements; one is made up where it is empty")
	write := flags.Bool("write", false, "write the results to docs/performance.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	e, err := newEnv(ctx, *file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.end()) }()
	lines, failed := e.measure(ctx, chosen)
	if *write {
		machine, err := e.machine(ctx)
		if err != nil {
			return errors.Join(failed, err)
		}
		if err := writePage(lines, machine); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(failed, missed(lines))
}

// measure measures the rows and prints each when it is done. One that fails does not take the others with it.
func (e *env) measure(ctx context.Context, chosen []row) (all []line, err error) {
	for _, r := range chosen {
		lines, failed := r.measure(ctx, e)
		if failed != nil {
			fmt.Printf("row %s: %v\n", r.name, failed)
			err = errors.Join(err, fmt.Errorf("row %s: %w", r.name, failed))
			continue
		}
		for i := range lines {
			lines[i].print(os.Stdout)
		}
		all = append(all, lines...)
	}
	return all, err
}

// missed is an error where a target is missed.
func missed(lines []line) error {
	var names []string
	for i := range lines {
		if !lines[i].met() {
			names = append(names, lines[i].what)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d targets missed: %s", len(names), strings.Join(names, "; "))
}
