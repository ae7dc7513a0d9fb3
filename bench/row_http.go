package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
)

// throughFPM measures the rate of requests through nginx and PHP-FPM with a single write each, all processes on this machine.
func throughFPM(ctx context.Context, e *env) (lines []line, err error) {
	echo, relay, err := e.startEchoes(ctx)
	if err != nil {
		return nil, err
	}
	defer echo.stop()
	defer relay.stop()
	fpm, nginx, err := e.startWeb(ctx, echo, relay)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, nginx.Stop(), fpm.Stop()) }()
	address := strings.TrimPrefix(nginx.URL(), "http://")
	php, err := family(fpm.PID())
	if err != nil {
		return nil, err
	}
	web, err := family(nginx.PID())
	if err != nil {
		return nil, err
	}
	pids := append(append(php, web...), e.redis.PID(), e.mariadb.PID(), e.main.PID(), e.journal.PID(), e.alone.PID())
	const connections, rounds, each = 32, 10, time.Second
	side := func(name, script string) round.Side {
		return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
			before, err := cpu(pids...)
			if err != nil {
				return round.Sample{}, err
			}
			rate, err := httpLoad(ctx, address, "/"+script, connections, each)
			if err != nil {
				return round.Sample{}, err
			}
			if err := errors.Join(e.main.flush(ctx), e.journal.flush(ctx), e.alone.flush(ctx)); err != nil {
				return round.Sample{}, err
			}
			after, err := cpu(pids...)
			return round.Sample{Value: rate, CPU: perTime(after-before, int(rate*each.Seconds()))}, err
		}}
	}
	table, err := round.Run(ctx, rounds,
		side(guide, "guide.php"),
		side(ticketd, "ticketd.php"),
		side(journaled, "ticketd.php?way=journal"),
		side(withoutRedis, "ticketd.php?way=alone"),
		side(floor, "ticketd.php?way=echo"),
		side(floorHSET, "ticketd.php?way=relay"),
		side("phpredis pconnect", "pconnect.php"),
		side("mysqli upsert", "mysqli.php"),
		side("no write at all", "empty.php"),
	)
	if err != nil {
		return nil, err
	}
	const what = "requests/s through nginx and PHP-FPM, 16 workers"
	return []line{
		rated(what, table, ticketd, guide, target{atLeast: 1.2}),
		withoutSides(rated(what+", ack = journal", table, journaled, guide, target{atLeast: 1.35})),
	}, nil
}

// startWeb starts nginx before a PHP-FPM whose scripts read the addresses from php.ini.
func (e *env) startWeb(ctx context.Context, echo, relay *echoServer) (*testenv.PHPFPM, *testenv.Nginx, error) {
	plugin, err := filepath.Abs(filepath.Join("php-client", "ticketd"))
	if err != nil {
		return nil, nil, err
	}
	root, err := filepath.Abs(filepath.Join("bench", "php", "request"))
	if err != nil {
		return nil, nil, err
	}
	fpmDir, err := e.folder("fpm")
	if err != nil {
		return nil, nil, err
	}
	nginxDir, err := e.folder("nginx")
	if err != nil {
		return nil, nil, err
	}
	fpm, err := testenv.StartPHPFPM(ctx, fpmDir, testenv.PHPFPMOptions{Children: 16, INI: map[string]string{
		"bench.redis": e.redis.Socket(), "bench.redis_password": e.password, "bench.database": database,
		"bench.mysql": e.mariadb.Socket(), "bench.plugin": plugin,
		"bench.ticketd": e.main.socket, "bench.ticketd_spool": e.main.spool,
		"bench.journal": e.journal.socket, "bench.journal_spool": e.journal.spool,
		"bench.alone": e.alone.socket, "bench.alone_spool": e.alone.spool,
		"bench.echo": echo.socket, "bench.echo_spool": e.main.spool,
		"bench.relay": relay.socket, "bench.relay_spool": e.main.spool,
	}})
	if err != nil {
		return nil, nil, err
	}
	nginx, err := testenv.StartNginx(ctx, nginxDir, testenv.NginxOptions{Root: root, FastCGI: fpm.Socket(), TCP: true})
	if err != nil {
		return nil, nil, errors.Join(err, fpm.Stop())
	}
	return fpm, nginx, nil
}

// httpLoad requests a path over so many connections at a time during span, and returns the requests per second. Each request
// is the same bytes in a single write, because the generator shares the processors with the measured servers.
func httpLoad(ctx context.Context, address, path string, connections int, span time.Duration) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, span)
	defer cancel()
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, connections)
	begin := time.Now()
	for c := range connections {
		all.Go(func() {
			errs[c] = ask(ctx, address, path, &done)
		})
	}
	all.Wait()
	return float64(done.Load()) / time.Since(begin).Seconds(), errors.Join(errs...)
}

// ask sends requests on a connection, one after another, and counts the answers.
func ask(ctx context.Context, address, path string, done *atomic.Int64) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	var late net.Error
	switch {
	case err == nil:
	case errors.As(err, &late) && late.Timeout():
		return nil // the end of the time: the dialer may notice before the context
	default:
		return err
	}
	defer func() { _ = conn.Close() }()
	r := bufio.NewReader(conn)
	request := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
	for ctx.Err() == nil {
		if _, err := conn.Write(request); err != nil {
			return err
		}
		response, err := http.ReadResponse(r, nil) //nolint:bodyclose // the body has no connection of its own and is read to the end
		if err != nil {
			return err
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			return err
		}
		if string(body) != "ok" {
			return fmt.Errorf("%s answers %s: %s", path, response.Status, body)
		}
		done.Add(1)
		if response.Close { // nginx ends a connection after a thousand requests
			_ = conn.Close()
			return ask(ctx, address, path, done)
		}
	}
	return nil
}

// family returns a process and its current children.
func family(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("children of process %d: %w", pid, err)
	}
	pids := []int{pid}
	for child := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return nil, fmt.Errorf("children of process %d: %w", pid, err)
		}
		pids = append(pids, n)
	}
	return pids, nil
}
