// Command browser walks the WordPress plugin's screens in a real browser: it starts a whole site, and runs the tests in
// php-client/tests/browser against it. What they need to do to the site they ask a control server for, which listens on
// 127.0.0.1 and knows a secret that the tests are given.
//
// It is run in the module's root, after `npm ci` in that folder; `make test-browser` does both. Screenshots are left in
// dist/browser. With --keep the site stays until it is interrupted, for somebody who wants to look.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

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

// mustUse gives the site categories to suggest. The period is long, so that changes wait until a test has them flushed.
const (
	mustUse = `add_filter( 'ticketd_categories', function () {
	return array( 'billing' => 'Billing', 'delivery' => 'Delivery', 'returns' => 'Returns' );
} );`
	site = "strategy = \"interval\"\nperiod = \"6h\"\n"
)

// Run starts the site and the tests.
func Run(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("browser", flag.ContinueOnError)
	keep := flags.Bool("keep", false, "leave the site running after the tests")
	if err := flags.Parse(args); err != nil {
		return err
	}
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
		Site: site, MustUse: mustUse, TCP: true, Debug: true,
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
	err = walk(ctx, stack, control)
	if *keep {
		fmt.Printf("The site runs in %s. To run the tests again:\n%s node php-client/tests/browser/main.mjs\n",
			dir, strings.Join(environment(stack, control), " "))
		<-ctx.Done()
	}
	if err != nil {
		return errors.Join(err, os.WriteFile(filepath.Join(shots, "servers.log"), []byte(stack.Log()), 0o600))
	}
	return nil
}

// shots is where the screenshots go.
const shots = "dist/browser"

// walk runs the tests; PHP must not have complained about the plugin meanwhile.
func walk(ctx context.Context, s *testenv.Stack, c *control) error {
	if err := os.MkdirAll(shots, 0o750); err != nil {
		return fmt.Errorf("a folder for screenshots: %w", err)
	}
	cmd := exec.CommandContext(ctx, "node", filepath.Join("php-client", "tests", "browser", "main.mjs"))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), environment(s, c)...)
	err := cmd.Run()
	lines, reported := s.WordPress.PHPFPM.Errors("/plugins/ticketd/")
	if reported == nil && len(lines) > 0 {
		reported = fmt.Errorf("PHP reported:\n%s", strings.Join(lines, "\n"))
	}
	return errors.Join(err, reported)
}

// environment tells the tests where everything is.
func environment(s *testenv.Stack, c *control) []string {
	return []string{
		"TICKETD_URL=" + s.WordPress.URL(), "TICKETD_USER=" + s.WordPress.User, "TICKETD_PASSWORD=" + s.WordPress.Password,
		"TICKETD_CONTROL=" + c.url, "TICKETD_SECRET=" + c.secret, "TICKETD_SHOTS=" + shots,
	}
}
