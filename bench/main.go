// Command bench measures ticketd and its alternatives side by side on private servers, and compares the ratios with the
// targets. bench exits with an error if a target is missed.
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
	"time"
)

func main() {
	if spins(os.Args[1:]) {
		if err := spin(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// Run measures the rows named in args, by default all rows. The working directory is the module's root.
func Run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	names := flags.String("rows", "", "the rows to measure, separated by commas; all if empty")
	file := flags.String("file", "", "a help desk's event log for the row statements; made up if empty")
	quick := flags.Bool("quick", false, "measure little, to see that the rows work")
	write := flags.Bool("write", false, "write the results to docs/performance.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := choose(*names)
	if err != nil {
		return err
	}
	begin, before := time.Now(), load()
	busy, err := keepAwake(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, busy.end()) }()
	fmt.Printf("the processors are kept awake: a spinner under SCHED_IDLE on each of %d\n", len(busy.spinners))
	e, err := newEnv(ctx, *file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, e.end()) }()
	if e.quick = *quick; !e.quick {
		e.repeats = begin.Add(repeatsFor)
	}
	lines, failed := measure(ctx, e, chosen)
	fmt.Printf("\n%s\nmeasured in %s\n", summary(lines), time.Since(begin).Round(time.Second))
	if *write {
		machine, err := machineLines(ctx, before)
		if err != nil {
			return errors.Join(failed, err)
		}
		if err := writePage(lines, machine); err != nil {
			return errors.Join(failed, err)
		}
	}
	return errors.Join(failed, missed(lines))
}

// measure measures the rows and prints each result at once. A failed row does not stop the others.
func measure(ctx context.Context, e *env, chosen []row) (all []line, err error) {
	for _, r := range chosen {
		begin := time.Now()
		lines, failed := r.measure(ctx, e)
		if failed != nil {
			fmt.Printf("row %s: %v\n", r.name, failed)
			err = errors.Join(err, fmt.Errorf("row %s: %w", r.name, failed))
			continue
		}
		fmt.Printf("\nrow %s, measured in %s\n", r.name, time.Since(begin).Round(time.Second))
		for i := range lines {
			lines[i].part = r.part
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
		if l := &lines[i]; !l.met() && !l.forbidden() {
			names = append(names, lines[i].what)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%d targets missed: %s", len(names), strings.Join(names, "; "))
}

// row is a group of lines that are measured together.
type row struct {
	name    string // for --rows
	part    part
	measure func(context.Context, *env) ([]line, error)
}

// part is a section of the report.
type part string

const (
	wholeJob  part = "The whole job: a write until MySQL has it"
	bareWrite part = "The bare write: until the writer has its answer"
	capacity  part = "Many at once, flush, and the daemon at rest"
)

// rows are all rows, in the order of measuring: the rows that fill the servers are last.
var rows = []row{
	{"one", bareWrite, oneWrite},
	{"job", wholeJob, job},
	{"ten", bareWrite, tenWrites},
	{"get", bareWrite, get},
	{"far", bareWrite, farRedis},
	{"http", bareWrite, throughFPM},
	{"httptls", bareWrite, throughFPMOverTLS},
	{"httpfar", bareWrite, throughFPMFar},
	{"crowd", capacity, crowd},
	{"feed", capacity, fed},
	{"flush", capacity, flushed},
	{"idle", capacity, idle},
	{"statements", capacity, statements},
	{"jobhttp", wholeJob, jobThroughFPM},
	{"meta", wholeJob, postMeta},
	{"million", capacity, million},
}

// choose returns the rows with these names, separated by commas.
func choose(names string) ([]row, error) {
	if names == "" {
		return rows, nil
	}
	var chosen []row
	for name := range strings.SplitSeq(names, ",") {
		r, known := find(name)
		if !known {
			return nil, fmt.Errorf("no row is called %q; the rows are %s", name, rowNames())
		}
		chosen = append(chosen, r)
	}
	return chosen, nil
}

func find(name string) (row, bool) {
	for _, r := range rows {
		if r.name == name {
			return r, true
		}
	}
	return row{}, false
}

func rowNames() string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	return strings.Join(names, ", ")
}
