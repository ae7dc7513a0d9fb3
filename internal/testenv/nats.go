package testenv

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// NATS is a private NATS server with JetStream on a port of 127.0.0.1.
type NATS struct {
	process

	port int
}

// StartNATS starts a NATS server with its data in dir. Config are further lines of its configuration.
func StartNATS(ctx context.Context, dir string, config ...string) (*NATS, error) {
	path := os.Getenv("TICKETD_TEST_NATS")
	if path == "" {
		var err error
		if path, err = program("nats-server", "nats-server"); err != nil {
			return nil, err
		}
	}
	port, err := freePort(ctx, false)
	if err != nil {
		return nil, err
	}
	n := &NATS{port: port}
	file := filepath.Join(dir, "nats.conf")
	lines := append([]string{
		"listen: 127.0.0.1:" + strconv.Itoa(port), "jetstream { store_dir: " + strconv.Quote(dir) + " }",
	}, config...)
	if err := writeFile(file, strings.Join(lines, "\n")+"\n"); err != nil {
		return nil, err
	}
	n.command = command{
		name: "nats-server", path: path, args: []string{"-c", file}, dir: dir, orphan: syscall.SIGKILL, ready: n.greets,
	}
	if err := n.start(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// NewNATS starts a NATS server for a test and ends the server with the test.
func NewNATS(t testing.TB, config ...string) *NATS {
	t.Helper()
	return newServer(t, "nats-server", func(ctx context.Context, dir string) (*NATS, error) {
		return StartNATS(ctx, dir, config...)
	})
}

// Addr is the server's address, "127.0.0.1:port".
func (n *NATS) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port)) }

// URL is the address for clients.
func (n *NATS) URL() string { return "nats://" + n.Addr() }

// greets waits for the server's first line.
func (n *NATS) greets(ctx context.Context) error { return greeting(ctx, n.Addr(), "", "INFO ") }
