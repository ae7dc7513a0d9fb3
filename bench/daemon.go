package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// daemon is a ticketd on the env's servers, with keys and a table of its own.
type daemon struct {
	*testenv.Ticketd
	socket, spool, table, prefix string

	base string // the configuration, without what a row adds for the site
}

// early has a site acknowledge from the journal.
const early = "ack = \"journal\""

// startDaemon starts one whose table begins with name, with these lines for its site. redis is where it finds Redis, as its
// configuration takes it; empty: it has none. The journal is brought to disk by interval, as Redis' own log is. A disk that is
// busy makes Redis hang, and may spoil a figure but not end the run.
func (e *env) startDaemon(ctx context.Context, name, redis, site string) (*daemon, error) {
	dir, err := e.folder(name)
	if err != nil {
		return nil, err
	}
	d := &daemon{
		socket: filepath.Join(dir, "d.sock"), spool: filepath.Join(dir, "spool"), table: name + "_support_tickets", prefix: name + ":",
	}
	d.base = fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n[journal]\nfsync = \"interval\"\n",
		d.socket, filepath.Join(dir, "state"), d.spool)
	if redis != "" {
		d.base += fmt.Sprintf("[redis]\naddr = %q\npassword = %q\nread_timeout = \"10s\"\n", redis, e.password)
	}
	d.base += fmt.Sprintf("[sites.main]\ndsn = %q\ntable_prefix = %q\nkey_prefix = %q\n%s\n",
		e.mariadb.DSN(database), name+"_", d.prefix, site)
	file := filepath.Join(dir, "migrate.toml")
	if err := os.WriteFile(file, []byte(d.base), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, e.binary, "migrate", "--config", file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ticketd migrate: %w\n%s", err, out)
	}
	if d.Ticketd, err = testenv.StartTicketd(ctx, dir, e.binary, testenv.TicketdOptions{Config: d.base}); err != nil {
		return nil, err
	}
	e.daemons = append(e.daemons, d)
	return d, nil
}

// site reloads the daemon with these lines for its site; none brings the defaults back.
func (d *daemon) site(ctx context.Context, lines string) error {
	if err := d.WriteConfig(d.base + lines + "\n"); err != nil {
		return err
	}
	return d.Reload(ctx)
}

// flush brings everything to MySQL.
func (d *daemon) flush(ctx context.Context) error {
	client, err := protocol.Dial(ctx, d.socket)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	_, err = client.Flush(ctx, nil, nil)
	return err
}

// status asks for the daemon's own counts.
func (d *daemon) status(ctx context.Context) (protocol.StatusResult, error) {
	client, err := protocol.Dial(ctx, d.socket)
	if err != nil {
		return protocol.StatusResult{}, err
	}
	defer func() { _ = client.Close() }()
	return client.Status(ctx)
}
