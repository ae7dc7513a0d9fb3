// Command browser walks the WordPress plugin's screens in a real browser: it starts a whole site, and runs the tests in
// php-client/tests/browser against the site. A test changes the site through a control server, which listens on 127.0.0.1 and
// requires a secret that the tests receive.
//
// Run browser in the module's root, after `npm ci` in that folder; `make test-browser` does both steps. With --wordpress it is
// the newest WordPress instead of 6.1. Screenshots are left in dist/browser, in a folder for each WordPress. With --keep the
// site stays until an interrupt.
package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "browser:", err)
		os.Exit(1)
	}
}

// mustUse gives the site categories to suggest. The period is long, so that changes stay pending until a test flushes. With
// patience a busy machine, on which the daemon answers late, is no outage.
const (
	patience = "define( 'TICKETD_TIMEOUT_MS', 5000 );"
	mustUse  = `add_filter( 'ticketd_categories', function () {
	return array( 'billing' => 'Billing', 'delivery' => 'Delivery', 'returns' => 'Returns' );
} );`
	site = "strategy = \"interval\"\nperiod = \"6h\"\n[sites.main.feed]\nenabled = true\n[sites.main.history]\nenabled = true\n"
)

// Run starts the site and the tests.
func Run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("browser", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "leave the site running after the tests")
	version := flags.String("wordpress", testenv.Debian61, "the WordPress: 6.1 or newest")
	if err := flags.Parse(args); err != nil {
		return err
	}
	source, err := testenv.FindWordPress(*version)
	if err != nil {
		return err
	}
	shots := filepath.Join("dist", "browser", *version)
	dir, err := os.MkdirTemp("", "ticketd-browser-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	binary := filepath.Join(dir, "ticketd-bin")
	if err := testenv.BuildTicketd(ctx, binary); err != nil {
		return err
	}
	stack, err := testenv.StartStack(ctx, dir, binary, filepath.Join("php-client", "ticketd"), testenv.StackOptions{
		Site: site, Config: patience, MustUse: mustUse, TCP: true, Debug: true, Source: source,
		Redis: testenv.RedisOptions{Config: []string{"appendonly yes", "maxmemory-policy noeviction"}},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stack.Stop()) }()
	control, err := startControl(ctx, stack)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.stop()) }()
	env := []string{
		"TICKETD_URL=" + stack.WordPress.URL(), "TICKETD_USER=" + stack.WordPress.User,
		"TICKETD_PASSWORD=" + stack.WordPress.Password, "TICKETD_CONTROL=" + control.url, "TICKETD_SECRET=" + control.secret,
		"TICKETD_SHOTS=" + shots,
	}
	err = walk(ctx, stack, shots, env)
	if *keep {
		fmt.Printf("The site runs in %s. To run the tests again:\n%s node php-client/tests/browser/main.mjs\n",
			dir, strings.Join(env, " "))
		<-ctx.Done()
	}
	if err != nil {
		return errors.Join(err, os.WriteFile(filepath.Join(shots, "servers.log"), []byte(stack.Log()), 0o600))
	}
	return nil
}

// walk runs the tests, whose pictures go into the folder shots; PHP must not have complained about the plugin meanwhile.
func walk(ctx context.Context, s *testenv.Stack, shots string, env []string) error {
	if err := os.MkdirAll(shots, 0o750); err != nil {
		return fmt.Errorf("a folder for screenshots: %w", err)
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Join("php-client", "tests", "browser", "main.mjs"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), env...)
	err := cmd.Run()
	lines, reported := s.WordPress.PHPFPM.Errors("/plugins/ticketd/")
	if reported == nil && len(lines) > 0 {
		reported = fmt.Errorf("PHP reported:\n%s", strings.Join(lines, "\n"))
	}
	return errors.Join(err, reported)
}

// control changes the site for the tests: POST /php and /sql run the body and answer with the output; /lock locks the tickets
// table against writers until /unlock; /ticketd/stop, /ticketd/start, /redis/stop and /redis/start stop and start servers.
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
	// Started servers outlive the request.
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
