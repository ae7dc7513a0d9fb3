package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
)

// standIn keeps only the daemon's contract with systemd: `serve --config FILE`, READY=1, RELOADING=1 and STOPPING=1. It logs
// its configuration when it reads it.
func standIn() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGHUP, syscall.SIGTERM)
	if len(os.Args) != 4 || os.Args[1] != "serve" || os.Args[2] != "--config" {
		fmt.Println("unexpected arguments", os.Args)
		os.Exit(2)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
	if err != nil {
		fmt.Println(err)
		os.Exit(2)
	}
	load := func() {
		text, err := os.ReadFile(os.Args[3])
		fmt.Printf("config %q %v\n", text, err)
		_, _ = conn.Write([]byte("READY=1"))
	}
	for load(); <-signals == syscall.SIGHUP; load() {
		_, _ = conn.Write([]byte("RELOADING=1\nMONOTONIC_USEC=1"))
	}
	_, _ = conn.Write([]byte("STOPPING=1"))
}

func newStandIn(t *testing.T) *Ticketd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return newServer(t, "stand-in", func(ctx context.Context, dir string) (*Ticketd, error) {
		return StartTicketd(ctx, dir, binary, TicketdOptions{Config: "first", Env: []string{asTicketd + "=1"}})
	})
}

func TestTicketdReloadsStopsAndRestarts(t *testing.T) {
	t.Parallel()
	d := newStandIn(t)
	if err := d.WriteConfig("second"); err != nil {
		t.Fatal(err)
	}
	if err := d.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	told := []string{"READY=1", "RELOADING=1", "MONOTONIC_USEC=1", "READY=1", "STOPPING=1"}
	if got := d.Notifications().Lines(); !slices.Equal(got, told) {
		t.Errorf("it told systemd %q, want %q", got, told)
	}
	if want := "config \"first\" <nil>\nconfig \"second\" <nil>\n"; d.Log() != want {
		t.Errorf("its log is %q, want %q", d.Log(), want)
	}
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := d.Notifications().Lines(); !slices.Equal(got, told[:1]) {
		t.Errorf("after the restart it told systemd %q, want %q", got, told[:1])
	}
}

func TestTicketdThatDiesCanBeRestarted(t *testing.T) {
	t.Parallel()
	d := newStandIn(t)
	if err := syscall.Kill(d.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-d.Done()
	if d.PID() != 0 {
		t.Errorf("a dead daemon has process id %d, want 0", d.PID())
	}
	if err := d.Pause(); err == nil {
		t.Error("a dead daemon could be paused")
	}
	if err := d.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
