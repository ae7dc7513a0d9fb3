package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
)

// The sides of the rows on post meta: WordPress writes the metadata itself, or ticketd takes it.
const byCore, byTicketd = "WordPress alone", "ticketd takes the metadata"

// metaPage is a must-use plugin whose pages write and read metadata as help desks do.
//
//go:embed php/meta.php
var metaPage string

// postMeta measures pages of a WordPress that change and read post meta, with ticketd's plugin active on both sides.
func postMeta(ctx context.Context, e *env) (lines []line, err error) {
	core, err := startBlog(ctx, e, "metacore", false)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, core.end()) }()
	taken, err := startBlog(ctx, e, "metataken", true)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, taken.end()) }()
	const rounds = 7
	each := e.span(3 * time.Second) //nolint:mnd // a page of WordPress takes some ten milliseconds
	for _, page := range []struct {
		name, what string
		rate, cpu  target
	}{
		{"reply", "six updates of a reply", target{atLeast: 1}, target{atMost: 1}},
		{"view", "a view counter", target{atLeast: 1}, target{atMost: 1}},
		{"other", "other posts' metadata and queries", target{atLeast: 0.97}, target{atMost: 1.03}},
	} {
		found, err := e.inRounds(ctx, rounds, []round.Side{
			core.side(byCore, "?bench="+page.name, each), taken.side(byTicketd, "?bench="+page.name, each),
		}, func(t round.Table) []line {
			what := "pages of WordPress, " + page.what + ", against WordPress alone: "
			spent := timed(what+"processor time", t, byTicketd, byCore, page.cpu)
			spent.value = t.RatioOf(byTicketd, byCore, func(s round.Sample) float64 { return s.CPU })
			return []line{rated(what+"requests/s", t, byTicketd, byCore, page.rate), withoutSides(spent)}
		})
		if err != nil {
			return nil, err
		}
		lines = append(lines, found...)
	}
	return lines, nil
}

// startBlog starts a WordPress with ticketd's plugin; name is that of its folder and database. If taken, a daemon takes the post
// meta.
func startBlog(ctx context.Context, e *env, name string, taken bool) (w *web, err error) {
	if err := e.mariadb.CreateDatabase(ctx, name); err != nil {
		return nil, err
	}
	dir, err1 := e.folder(name)
	plugin, err2 := filepath.Abs(filepath.Join("php-client", "ticketd"))
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	socket, spool := filepath.Join(dir, "d.sock"), filepath.Join(dir, "spool")
	blog, err := testenv.StartWordPress(ctx, dir, testenv.WordPressOptions{
		MariaDB: e.mariadb, Database: name, Plugins: []string{plugin}, TCP: true, PHP: testenv.PHPFPMOptions{Children: children},
		Config: fmt.Sprintf("define( 'TICKETD_SOCKET', '%s' );\ndefine( 'TICKETD_SPOOL', '%s' );", socket, spool),
	})
	if err != nil {
		return nil, err
	}
	w = &web{fpm: blog.PHPFPM, nginx: blog.Nginx, address: strings.TrimPrefix(blog.URL(), "http://")}
	config := fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n[redis]\naddr = %q\n"+
		"password = %q\nread_timeout = \"10s\"\n[sites.main]\ndsn = %q\ntable_prefix = \"wp_\"\nkey_prefix = \"%s:\"\n%s",
		socket, filepath.Join(dir, "state"), spool, "unix://"+e.redis.Socket(), e.password, e.mariadb.DSN(name), name, metaSite)
	if err := fillBlog(ctx, e, blog, w, taken, config); err != nil {
		return nil, errors.Join(err, w.end())
	}
	return w, nil
}

// metaSite are the keys that a reply in Awesome Support changes, and KB Support's counters.
const metaSite = `kind = "postmeta"
post_types = ["ticket", "article"]
[sites.main.keys]
waiting = "_wpas_is_waiting_client_reply"
last_reply = "_wpas_last_reply_date"
last_reply_gmt = "_wpas_last_reply_date_gmt"
replies = "_wpas_ttl_replies"
replies_agent = "_wpas_ttl_replies_by_agent"
status = "_wpas_status"
views = "_kbs_article_views"
views_month = "_kbs_article_views_2026-11"
`

// fillBlog makes the posts and, if taken, starts the daemon with a configuration.
func fillBlog(ctx context.Context, e *env, blog *testenv.WordPress, w *web, taken bool, config string) error {
	mustUse := filepath.Join(blog.Root(), "wp-content", "mu-plugins")
	if err := os.MkdirAll(mustUse, 0o750); err != nil {
		return err
	}
	const all = 0o644 // PHP-FPM reads it
	if err := os.WriteFile(filepath.Join(mustUse, "bench.php"), []byte(metaPage), all); err != nil {
		return err
	}
	if out, err := blog.Run(ctx, "bench_posts();"); err != nil {
		return fmt.Errorf("making posts: %w\n%s", err, out)
	}
	pids := []int{e.redis.PID(), e.mariadb.PID()}
	if taken {
		d, err := startMetaDaemon(ctx, e, filepath.Dir(blog.Root()), config)
		if err != nil {
			return err
		}
		w.daemons, pids = append(w.daemons, d), append(pids, d.PID())
		install := "echo Ticketd\\WordPress\\Meta\\Loader::install();\n" +
			"$learnt = Ticketd\\WordPress\\Meta\\Adapter::instance()->learn( 'post' );\n" +
			"echo is_wp_error( $learnt ) ? $learnt->get_error_message() : '';"
		if out, err := blog.Run(ctx, install); err != nil || out != "" {
			return fmt.Errorf("letting ticketd take the metadata: %w\n%s", err, out)
		}
	}
	php, err1 := family(w.fpm.PID())
	front, err2 := family(w.nginx.PID())
	w.pids = slices.Concat(php, front, pids)
	return errors.Join(err1, err2)
}

// startMetaDaemon migrates and starts a daemon in a folder.
func startMetaDaemon(ctx context.Context, e *env, dir, config string) (*daemon, error) {
	file := filepath.Join(dir, "migrate.toml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	if out, err := exec.CommandContext(ctx, e.binary, "migrate", "--config", file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("ticketd migrate: %w\n%s", err, out)
	}
	d := &daemon{socket: filepath.Join(dir, "d.sock"), base: config}
	sub := filepath.Join(dir, "daemon")
	if err := os.Mkdir(sub, 0o700); err != nil {
		return nil, err
	}
	var err error
	if d.Ticketd, err = testenv.StartTicketd(ctx, sub, e.binary, testenv.TicketdOptions{Config: config}); err != nil {
		return nil, err
	}
	e.daemons = append(e.daemons, d)
	return d, nil
}
