package testenv

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// StackOptions are the options of a whole site.
type StackOptions struct {
	// Site is further TOML for the daemon's [sites.main], e.g. `strategy = "interval"`.
	Site string
	// Sites are further sites in TOML, `[sites.NAME]` and the site's keys; DSN stands for the DSN of the stack's database.
	Sites string
	// Source and Multisite are as in [WordPressOptions].
	Source    string
	Multisite bool
	// Config is further PHP code for wp-config.php.
	Config string
	// Plugins are further plugins, as in [WordPressOptions]; they are activated before ticketd's.
	Plugins []string
	// MustUse is PHP code that WordPress loads in every request (a must-use plugin), or empty.
	MustUse string
	// PHP are the options of PHP-FPM; Debug sets WP_DEBUG; TCP makes WordPress reachable by a browser.
	PHP   PHPFPMOptions
	Debug bool
	TCP   bool
	// Redis are the options of Redis; NoRedis does without, so that the journal is the store.
	// Place is TOML of [redis] that leads to servers which the caller has started, instead.
	Redis   RedisOptions
	NoRedis bool
	Place   string
	// State is the folder of the daemon's journal and spool; empty for a folder beside the socket.
	State string
	// MariaDB are the options of MariaDB.
	MariaDB MariaDBOptions
}

// Stack is a whole site: Redis, MariaDB, WordPress with the plugin behind nginx and PHP-FPM, and the daemon.
type Stack struct {
	Redis     *Redis // nil if the stack has no Redis of its own
	MariaDB   *MariaDB
	WordPress *WordPress
	Ticketd   *Ticketd
	// Socket is where the daemon listens.
	Socket string

	place, state string
}

// StackDatabase is the database of a stack's WordPress; the tickets table is wp_support_tickets.
const StackDatabase = "wordpress"

// StartStack starts a whole site in dir. binary is ticketd, plugin the folder of the WordPress plugin.
func StartStack(ctx context.Context, dir, binary, plugin string, o StackOptions) (*Stack, error) {
	s := &Stack{}
	if err := s.start(ctx, dir, binary, plugin, o); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Stack) start(ctx context.Context, dir, binary, plugin string, o StackOptions) (err error) {
	folder := func(name string) string {
		path := filepath.Join(dir, name)
		err = errors.Join(err, os.MkdirAll(path, 0o700))
		return path
	}
	redisDir, mariaDir, pressDir, daemonDir := folder("redis"), folder("mariadb"), folder("site"), folder("ticketd")
	if err != nil {
		return err
	}
	s.place = o.Place
	if !o.NoRedis && o.Place == "" {
		if s.Redis, err = StartRedis(ctx, redisDir, o.Redis); err != nil {
			return err
		}
	}
	if s.MariaDB, err = StartMariaDB(ctx, mariaDir, o.MariaDB); err != nil {
		return err
	}
	if err := s.MariaDB.CreateDatabase(ctx, StackDatabase); err != nil {
		return err
	}
	if s.Socket, err = socketIn(daemonDir, "ticketd.sock"); err != nil {
		return err
	}
	s.state = cmp.Or(o.State, filepath.Dir(s.Socket))
	s.WordPress, err = StartWordPress(ctx, pressDir, WordPressOptions{
		MariaDB: s.MariaDB, Database: StackDatabase, Plugins: append(slices.Clone(o.Plugins), plugin),
		Config: fmt.Sprintf("define( 'TICKETD_SOCKET', %s );\ndefine( 'TICKETD_SPOOL', %s );\n%s",
			phpString(s.Socket), phpString(s.Spool()), o.Config),
		PHP: o.PHP, Debug: o.Debug, TCP: o.TCP, Source: o.Source, Multisite: o.Multisite,
	})
	if err != nil {
		return err
	}
	if err := s.mustUse(o.MustUse); err != nil {
		return err
	}
	s.Ticketd, err = StartTicketd(ctx, daemonDir, binary, TicketdOptions{Config: s.Config(o.Site + "\n" + s.sites(o.Sites))})
	return err
}

// Config is the daemon's configuration with further TOML for the site.
func (s *Stack) Config(site string) string {
	redis := s.place
	if s.Redis != nil {
		redis = fmt.Sprintf("[redis]\naddr = %q\npassword = %q\n", "unix://"+s.Redis.Socket(), s.Redis.password)
	}
	return fmt.Sprintf(`[daemon]
socket = %q
state_dir = %q
spool_dir = %q
%s[sites.main]
dsn = %q
%s
`, s.Socket, filepath.Join(s.state, "state"), s.Spool(), redis, s.MariaDB.DSN(StackDatabase), site)
}

// sites puts the database's DSN into the TOML of further sites.
func (s *Stack) sites(text string) string {
	return strings.ReplaceAll(text, "DSN", strconv.Quote(s.MariaDB.DSN(StackDatabase)))
}

// Spool is where PHP leaves changes that it cannot deliver.
func (s *Stack) Spool() string { return filepath.Join(s.state, "spool") }

func (s *Stack) mustUse(code string) error {
	if code == "" {
		return nil
	}
	dir := filepath.Join(s.WordPress.Root(), "wp-content", "mu-plugins")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("stack: %w", err)
	}
	return writeFile(filepath.Join(dir, "stack.php"), "<?php\n"+code+"\n")
}

// Stop ends all servers, the daemon first.
func (s *Stack) Stop() error {
	var errs []error
	if s.Ticketd != nil {
		errs = append(errs, s.Ticketd.Stop())
	}
	if s.WordPress != nil {
		errs = append(errs, s.WordPress.Stop())
	}
	if s.MariaDB != nil {
		errs = append(errs, s.MariaDB.Stop())
	}
	if s.Redis != nil {
		errs = append(errs, s.Redis.Stop())
	}
	return errors.Join(errs...)
}

// Kill ends all servers at once.
func (s *Stack) Kill() {
	s.Ticketd.Kill()
	s.WordPress.Kill()
	s.MariaDB.Kill()
	if s.Redis != nil {
		s.Redis.Kill()
	}
}

// Log returns the logs of all servers.
func (s *Stack) Log() string {
	text := "--- ticketd\n" + s.Ticketd.Log() + "\n--- wordpress\n" + s.WordPress.Log() + "\n--- mariadb\n" + s.MariaDB.Log()
	if s.Redis != nil {
		text += "\n--- redis\n" + s.Redis.Log()
	}
	return text
}

// NewStack starts a whole site with this module's daemon and plugin for a test and ends the site with the test. The working
// directory must be two folders below the module's root, like that of a test in internal/X.
func NewStack(t testing.TB, o StackOptions) *Stack {
	t.Helper()
	binary := TicketdBinary(t)
	return newServer(t, "stack", func(ctx context.Context, dir string) (*Stack, error) {
		return StartStack(ctx, dir, binary, filepath.Join("..", "..", "php-client", "ticketd"), o)
	})
}
