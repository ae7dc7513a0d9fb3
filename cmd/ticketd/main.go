// Command ticketd takes the small writes of support tickets off a WordPress site's MySQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/logs"
)

// Exit codes. A wrong call and a failed call differ: only a failed call is worth repeating.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	// The first signal stops in order; a second signal ends the process at once.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := Run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	if err == nil {
		return
	}
	text := fmt.Sprintln("ticketd:", err)
	if logs.InJournal(os.Stderr) {
		text = logs.Prioritized(zerolog.ErrorLevel, text)
	}
	fmt.Fprint(os.Stderr, text)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}
