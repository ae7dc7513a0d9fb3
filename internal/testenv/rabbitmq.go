package testenv

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// rabbitScripts is where Debian's package keeps the scripts that do not switch to a system user first.
const rabbitScripts = "/usr/lib/rabbitmq/bin"

// RabbitMQ is a private RabbitMQ server on a port of 127.0.0.1, with the user guest.
type RabbitMQ struct {
	process

	port int
}

// StartRabbitMQ starts a RabbitMQ with its data in dir. A start takes some five seconds.
func StartRabbitMQ(ctx context.Context, dir string) (*RabbitMQ, error) {
	server := filepath.Join(rabbitScripts, "rabbitmq-server")
	if !executable(server) {
		return nil, &MissingError{Name: "rabbitmq-server", Package: "rabbitmq-server"}
	}
	r := &RabbitMQ{}
	var ports [3]int
	for i := range ports {
		var err error
		if ports[i], err = freePort(ctx, false); err != nil {
			return nil, err
		}
	}
	r.port = ports[0]
	config := filepath.Join(dir, "rabbitmq.conf")
	if err := writeFile(config, "disk_free_limit.absolute = 1MB\nlog.console.level = warning\n"); err != nil {
		return nil, err
	}
	if err := writeFile(filepath.Join(dir, "enabled_plugins"), "[].\n"); err != nil {
		return nil, err
	}
	r.command = command{
		name: "rabbitmq", dir: dir, orphan: syscall.SIGKILL, ready: r.hello,
		// A node finds its command line through epmd, which would otherwise start as a daemon and outlive the test.
		path: "/bin/sh", args: []string{"-c", `setpriv --pdeathsig KILL epmd -port "$ERL_EPMD_PORT" & exec ` + server},
		env: []string{
			"HOME=" + dir, "RABBITMQ_NODENAME=ticketd" + strconv.Itoa(r.port) + "@localhost", "RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
			"RABBITMQ_NODE_PORT=" + strconv.Itoa(r.port), "RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[1]),
			"ERL_EPMD_PORT=" + strconv.Itoa(ports[2]), "ERL_EPMD_ADDRESS=127.0.0.1",
			"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"), "RABBITMQ_LOG_BASE=" + dir, "RABBITMQ_LOGS=-",
			"RABBITMQ_CONFIG_FILE=" + config, "RABBITMQ_CONF_ENV_FILE=/dev/null", "RABBITMQ_ADVANCED_CONFIG_FILE=/dev/null",
			"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"),
			"RABBITMQ_GENERATED_CONFIG_DIR=" + filepath.Join(dir, "generated"),
		},
	}
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// NewRabbitMQ starts a RabbitMQ for a test and ends the server with the test.
func NewRabbitMQ(t testing.TB) *RabbitMQ {
	t.Helper()
	return newServer(t, "rabbitmq", StartRabbitMQ)
}

// Addr is the server's address, "127.0.0.1:port".
func (r *RabbitMQ) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// URL is the address with the user; the virtual host is the default one.
func (r *RabbitMQ) URL() string { return "amqp://guest:guest@" + r.Addr() }

// Control runs rabbitmqctl, which takes about a second.
func (r *RabbitMQ) Control(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(rabbitScripts, "rabbitmqctl"), append([]string{"--quiet"}, args...)...)
	cmd.Env = append(cmd.Environ(), r.env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rabbitmqctl %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// hello begins a connection and waits for the server's first frame, a method of channel 0.
func (r *RabbitMQ) hello(ctx context.Context) error {
	return greeting(ctx, r.Addr(), "AMQP\x00\x00\x09\x01", "\x01\x00\x00")
}

// greeting says hello, if there is something to say, and waits for the first bytes of the server's answer.
func greeting(ctx context.Context, addr, hello, answer string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	if _, err := io.WriteString(conn, hello); err != nil {
		return err
	}
	got := make([]byte, len(answer))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != answer {
		return fmt.Errorf("%s answers %q", addr, got)
	}
	return nil
}
