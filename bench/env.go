package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	_ "github.com/go-sql-driver/mysql" // the driver for preparing tables and for the raw statements

	"github.com/ticketd/ticketd/internal/testenv"
)

// database is the name of the database that everything is measured in; the rivals' table in it is like ticketd's.
const database, plainTable = "bench", "plain_tickets"

// env is the private servers that the rows share, in a folder of its own.
type env struct {
	file            string // a help desk's event log; empty: one is made up
	dir, binary     string
	password        string // of Redis
	redis           *testenv.Redis
	mariadb         *testenv.MariaDB
	db              *sql.DB
	main            *daemon
	journal         *daemon   // acknowledges from its journal
	alone           *daemon   // has no Redis
	tcp, tcpJournal *daemon   // reach Redis over TCP; nil until a row needs them
	daemons         []*daemon // all that were started
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
	// A million tickets with their indexes must fit in memory: the test environment's own settings are for tiny tables.
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

// folder makes a folder in the env's own.
func (e *env) folder(name string) (string, error) {
	path := filepath.Join(e.dir, name)
	return path, os.Mkdir(path, 0o700)
}

// end stops everything, the daemons first, and removes the folder.
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
	if e.redis != nil {
		errs = append(errs, e.redis.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(e.dir))...)
}
