package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver for preparing tables and for the raw statements

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// database is the name of the database for all measurements; the rivals' plainTable in it has the columns of ticketd's table.
const database, plainTable = "bench", "plain_tickets"

// env is the private servers that the rows share, in a temporary folder.
type env struct {
	file            string // a help desk's event log; empty: use a made-up log
	dir, binary     string
	password        string // of Redis
	redis           *testenv.Redis
	mariadb         *testenv.MariaDB
	db              *sql.DB
	main            *daemon
	journal         *daemon   // acknowledges from the journal
	alone           *daemon   // has no Redis
	tcp, tcpJournal *daemon   // reach Redis over TCP; nil until a row needs TCP
	tls             *tlsPlace // nil until a row needs TLS
	daemons         []*daemon // all that were started
	ends            []func() error
	repeats         time.Time // until when measurements may be repeated; the zero time: never
	written         int       // what the next PHP worker begins to count with, see php/ways.php
	quick           bool      // measure a little, once: the rows work, the figures mean nothing
}

func newEnv(ctx context.Context, file string) (e *env, err error) {
	e = &env{password: rand.Text(), file: file}
	if e.dir, err = os.MkdirTemp("", "ticketd-bench-"); err != nil {
		return nil, fmt.Errorf("making a folder for the servers: %w", err)
	}
	if err := e.start(ctx); err != nil {
		return nil, errors.Join(err, e.end())
	}
	return e, nil
}

func (e *env) start(ctx context.Context) (err error) {
	e.binary = filepath.Join(e.dir, "ticketd")
	if err := testenv.BuildTicketd(ctx, e.binary); err != nil {
		return err
	}
	redisDir, err := e.folder("redis")
	if err != nil {
		return err
	}
	e.redis, err = testenv.StartRedis(ctx, redisDir, testenv.RedisOptions{
		Password: e.password, TCP: true, Config: []string{"appendonly yes", "maxmemory-policy noeviction"},
	})
	if err != nil {
		return err
	}
	mariaDir, err := e.folder("mariadb")
	if err != nil {
		return err
	}
	// A million tickets with indexes must fit in memory: the test environment's own settings are for tiny tables.
	e.mariadb, err = testenv.StartMariaDB(ctx, mariaDir, testenv.MariaDBOptions{
		Args: []string{"--innodb-buffer-pool-size=1G", "--innodb-log-file-size=512M", "--secure-file-priv=" + mariaDir},
	})
	if err != nil {
		return err
	}
	if err := e.mariadb.CreateDatabase(ctx, database); err != nil {
		return err
	}
	if e.db, err = sql.Open("mysql", e.mariadb.DSN(database)+"?interpolateParams=true"); err != nil {
		return err
	}
	redis := "unix://" + e.redis.Socket()
	if e.main, err = e.startDaemon(ctx, "wp", redis, ""); err != nil {
		return err
	}
	if e.journal, err = e.startDaemon(ctx, "early", redis, early); err != nil {
		return err
	}
	if e.alone, err = e.startDaemon(ctx, "alone", "", ""); err != nil {
		return err
	}
	_, err = e.db.ExecContext(ctx, "CREATE TABLE "+plainTable+" LIKE "+e.main.table)
	return err
}

// much is so much work, or little of it if the env is quick.
func (e *env) much(n int) int {
	const part = 50
	if e.quick {
		return max(n/part, 1)
	}
	return n
}

// span is so much time, or little of it if the env is quick.
func (e *env) span(d time.Duration) time.Duration {
	const part = 10
	if e.quick {
		return d / part
	}
	return d
}

// folder makes a folder in the env's own.
func (e *env) folder(name string) (string, error) {
	path := filepath.Join(e.dir, name)
	return path, os.Mkdir(path, 0o700)
}

// end stops all servers, the daemons first, and removes the folder.
func (e *env) end() error {
	var errs []error
	for _, d := range e.daemons {
		errs = append(errs, d.Stop())
	}
	if e.db != nil {
		errs = append(errs, e.db.Close())
	}
	if e.mariadb != nil {
		errs = append(errs, e.mariadb.Stop())
	}
	for _, end := range e.ends {
		errs = append(errs, end())
	}
	if e.redis != nil {
		errs = append(errs, e.redis.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}

// daemon is a ticketd on the env's servers, with its own keys and table.
type daemon struct {
	*testenv.Ticketd
	socket, spool, table, prefix string

	base string // the configuration, without a row's settings for the site
}

// early has a site acknowledge from the journal.
const early = "ack = \"journal\""

// startDaemon starts a daemon whose table begins with name, with the lines site for its site. redis is the address of Redis
// as in the configuration; empty means without Redis. The journal is synced by interval, like Redis' own log. A busy disk
// makes Redis hang, and may spoil a figure but not end the run.
func (e *env) startDaemon(ctx context.Context, name, redis, site string) (*daemon, error) {
	return e.startDaemonWith(ctx, name, redis, "", site)
}

// startDaemonWith is startDaemon with further lines for the connections to Redis.
func (e *env) startDaemonWith(ctx context.Context, name, redis, connect, site string) (*daemon, error) {
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
		d.base += fmt.Sprintf("[redis]\naddr = %q\npassword = %q\nread_timeout = \"10s\"\n%s\n", redis, e.password, connect)
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

// site reloads the daemon with these lines for its site; without lines the daemon gets its defaults back.
func (d *daemon) site(ctx context.Context, lines string) error {
	if err := d.WriteConfig(d.base + lines + "\n"); err != nil {
		return err
	}
	return d.Reload(ctx)
}

// flush flushes all changes to MySQL.
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

// repeatsFor is how long measurements are repeated: then the rows that are left fit into a quarter of an hour with the repeated
// rows.
const repeatsFor = 7 * time.Minute

// settled measures lines, and measures them again, at most twice, while a line is too wide to be believed. The measurement that
// is widest in no line is the result.
func (e *env) settled(measure func() ([]line, error)) (best []line, err error) {
	const tries = 3
	for try := 1; ; try++ {
		lines, err := measure()
		if err != nil {
			return nil, err
		}
		if best == nil || widest(lines) < widest(best) {
			best = lines
		}
		if widest(best) <= round.Steady || try == tries || time.Now().After(e.repeats) {
			return best, nil
		}
	}
}

// inRounds measures the sides in rounds until the lines are settled.
func (e *env) inRounds(ctx context.Context, rounds int, sides []round.Side, lines func(round.Table) []line) ([]line, error) {
	return e.settled(func() ([]line, error) {
		table, err := round.Run(ctx, e.much(rounds), sides...)
		if err != nil {
			return nil, err
		}
		return lines(table), nil
	})
}

// widest is how far apart the quartiles of the widest line are.
func widest(lines []line) (most float64) {
	for i := range lines {
		most = max(most, lines[i].value.High/lines[i].value.Low)
	}
	return most
}
