// Command ticketd takes the small writes of support tickets off a WordPress site's MySQL.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
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
	fmt.Fprintln(os.Stderr, "ticketd:", err)
	if usage := (*usageError)(nil); errors.As(err, &usage) {
		os.Exit(exitUsage)
	}
	os.Exit(exitFailed)
}
