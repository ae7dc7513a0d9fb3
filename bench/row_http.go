package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"time"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
)

// throughFPM is the rate of requests through nginx and PHP-FPM that write once each, with everything on this
// machine's processors.
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

// startWeb starts nginx before a PHP-FPM whose scripts find the addresses in php.ini.
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
