// Command replay sends a help desk's event log through a private WordPress, each line as one HTTP request that
// changes one ticket by the plugin, and compares every ticket in MySQL with its last line. It fails where anything
// differs.
//
//	go run ./bench/replay --file incident_event_log.csv [--workers N] [--rate R]
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/ticketd/ticketd/bench/incidents"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "replay:", err)
		os.Exit(1)
	}
}

// options are the command's.
type options struct {
	file    string
	workers int     // requests at a time
	rate    float64 // requests per second; 0: as many as there can be
	plugin  string  // the plugin's folder
}

// Run replays the file that the arguments name. The working directory is the module's root.
func Run(ctx context.Context, args []string, out io.Writer) error {
	o := options{plugin: filepath.Join("php-client", "ticketd")}
	flags := flag.NewFlagSet("replay", flag.ContinueOnError)
	flags.StringVar(&o.file, "file", "", "the event log, a CSV file")
	flags.IntVar(&o.workers, "workers", 4, "requests at a time, 1 to 64; the updates of one ticket keep their order")
	flags.Float64Var(&o.rate, "rate", 0, "requests per second; 0: as many as there can be")
	if err := flags.Parse(args); err != nil {
		return err
	}
	const maxWorkers = 64
	if o.file == "" || flags.NArg() > 0 {
		return errors.New("say which event log to replay: --file PATH.csv (with make: FILE=PATH.csv)")
	}
	if o.workers < 1 || o.workers > maxWorkers || o.rate < 0 {
		return fmt.Errorf("--workers must be 1 to %d, --rate at least 0", maxWorkers)
	}
	return replay(ctx, &o, out)
}

func replay(ctx context.Context, o *options, out io.Writer) (err error) {
	updates, err := incidents.ReadFile(o.file)
	if err != nil {
		return err
	}
	s, err := startSite(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	last := incidents.Last(updates)
	fmt.Fprintf(out, "Sending %d updates of %d tickets, %d at a time …\n", len(updates), len(last), o.workers)
	sent := send(ctx, s, updates, o)
	if err := ctx.Err(); err != nil {
		return err
	}
	r, err := s.compare(ctx, last)
	if err != nil {
		return err
	}
	return r.print(out, &sent)
}
