// Command demo shows ticketd at work on a private WordPress: it starts Redis, MariaDB, PHP-FPM, nginx, WordPress and the
// daemon in one folder, has visitors create and update tickets over HTTP, and checks what arrived in MySQL.
//
//	demo run     the whole show, with numbers at the end
//	demo up      start it all and leave it running
//	demo down    end what up started
//
// With --without-redis, run and up start no Redis: changes then wait in the daemon's journal.
package main

import (
	"context"
	"errors"
	"flag"
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

// withoutRedisFlag is the flag's name, for the process that holds the site as well.
const withoutRedisFlag = "without-redis"

// Run runs one of the demo's commands.
func Run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	withoutRedis := flags.Bool(withoutRedisFlag, false, "start no Redis: changes wait in the daemon's journal")
	if len(args) == 0 {
		return errors.New("say run, up or down")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "run":
		return show(ctx, !*withoutRedis)
	case "up":
		return up(ctx, !*withoutRedis)
	case "hold":
		return hold(ctx, !*withoutRedis)
	case "down":
		return down(ctx)
	default:
		return fmt.Errorf("%q: say run, up or down", args[0])
	}
}
