// Command demo shows ticketd at work on a private WordPress: it starts Redis, MariaDB, PHP-FPM, nginx, WordPress and the
// daemon in one folder, has visitors create and update tickets over HTTP, and checks what arrived in MySQL.
//
//	demo run     the whole show, with numbers at the end
//	demo up      start it all and leave it running
//	demo down    end what up started
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// Run runs one of the demo's commands.
func Run(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return errors.New("say run, up or down")
	}
	switch args[0] {
	case "run":
		return show(ctx)
	case "up":
		return up(ctx)
	case "hold":
		return hold(ctx)
	case "down":
		return down(ctx)
	default:
		return fmt.Errorf("%q: say run, up or down", args[0])
	}
}
