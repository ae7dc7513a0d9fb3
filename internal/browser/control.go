package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	_ "github.com/go-sql-driver/mysql" // the driver of the database that the tests change behind ticketd's back

	"github.com/ticketd/ticketd/internal/testenv"
)

// control does to the site what the tests ask for: POST /php and /sql run what the body says and answer what it printed;
// /lock holds the tickets table against writers until /unlock; /ticketd/stop, /ticketd/start, /redis/stop and
// /redis/start do what they say.
type control struct {
	url, secret string

	stack  *testenv.Stack
	db     *sql.DB
	server *http.Server
	held   *sql.Conn // has the table locked
	done   chan error
}

const maxScript = 1 << 20 // bytes

func startControl(ctx context.Context, s *testenv.Stack) (*control, error) {
	db, err := sql.Open("mysql", s.MariaDB.DSN(testenv.StackDatabase))
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, errors.Join(fmt.Errorf("control: %w", err), db.Close())
	}
	c := &control{
		url: "http://" + listener.Addr().String(), secret: rand.Text(), stack: s, db: db, done: make(chan error, 1),
	}
	c.server = &http.Server{Handler: c.routes(), ReadHeaderTimeout: time.Second}
	go func() { c.done <- c.server.Serve(listener) }()
	return c, nil
}

func (c *control) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, do func(ctx context.Context, body string) (string, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != c.secret {
				http.Error(w, "the secret is wrong", http.StatusForbidden)
				return
			}
			body, err := io.ReadAll(io.LimitReader(r.Body, maxScript))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			out, err := do(r.Context(), string(body))
			if err != nil {
				http.Error(w, err.Error()+"\n"+out, http.StatusInternalServerError)
				return
			}
			_, _ = io.WriteString(w, out) // a client that has gone needs no answer
		})
	}
	simple := func(do func(ctx context.Context) error) func(context.Context, string) (string, error) {
		return func(ctx context.Context, _ string) (string, error) { return "", do(ctx) }
	}
	handle("/php", func(ctx context.Context, code string) (string, error) { return c.stack.WordPress.Run(ctx, code) })
	handle("/sql", func(ctx context.Context, statement string) (string, error) {
		_, err := c.db.ExecContext(ctx, statement)
		return "", err
	})
	handle("/lock", simple(c.lock))
	handle("/unlock", simple(c.unlock))
	// What is started outlives the request that asks for it.
	handle("/ticketd/stop", simple(func(context.Context) error { return c.stack.Ticketd.Stop() }))
	handle("/ticketd/start", simple(func(ctx context.Context) error { return c.stack.Ticketd.Restart(context.WithoutCancel(ctx)) }))
	handle("/redis/stop", simple(func(context.Context) error { return c.stack.Redis.Stop() }))
	handle("/redis/start", simple(func(ctx context.Context) error { return c.stack.Redis.Restart(context.WithoutCancel(ctx)) }))
	return mux
}

// lock holds the tickets table against writers; readers pass.
func (c *control) lock(ctx context.Context) error {
	conn, err := c.db.Conn(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "LOCK TABLES wp_support_tickets READ"); err != nil {
		return errors.Join(err, conn.Close())
	}
	c.held = conn
	return nil
}

func (c *control) unlock(ctx context.Context) error {
	if c.held == nil {
		return errors.New("the table is not locked")
	}
	_, err := c.held.ExecContext(ctx, "UNLOCK TABLES")
	err = errors.Join(err, c.held.Close())
	c.held = nil
	return err
}

func (c *control) stop() error {
	err := c.server.Close()
	if served := <-c.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return errors.Join(err, c.db.Close())
}
