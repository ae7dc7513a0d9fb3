package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/bench/round"
)

// The sides that most rows have.
const (
	guide        = "the guide's way"
	ticketd      = "ticketd"
	batch        = "ticketd, one batch"
	journaled    = "ticketd, ack journal"
	withoutRedis = "ticketd without Redis"
	floor        = "floor: C, no Redis"
	floorHSET    = "floor: C, HSET on a socket"
)

// transport is a way to reach Redis, the same for all sides of a line: a rival must not be slower only because of its
// transport.
type transport struct {
	name   string
	places phpPlaces
}

// transports starts a second daemon, which reaches Redis over TCP.
func (e *env) transports(ctx context.Context) ([]transport, error) {
	host, port, err := net.SplitHostPort(e.redis.Addr())
	if err != nil {
		return nil, err
	}
	if e.tcp == nil {
		if e.tcp, err = e.startDaemon(ctx, "tcp", e.redis.Addr(), ""); err != nil {
			return nil, err
		}
		if e.tcpJournal, err = e.startDaemon(ctx, "tcpearly", e.redis.Addr(), early); err != nil {
			return nil, err
		}
	}
	number, err := strconv.Atoi(port)
	return []transport{
		{"Redis on a Unix socket", e.unixPlaces()},
		{"Redis over TCP", phpPlaces{redis: host, port: number, daemons: map[string]*daemon{
			wayTicketd: e.tcp, wayJournal: e.tcpJournal, wayAlone: e.alone,
		}}},
	}, err
}

// eachTransport measures the sides over each transport.
func (e *env) eachTransport(
	ctx context.Context, rounds int,
	sides func(*phpWorker) ([]round.Side, error), lines func(at string, t round.Table) []line,
) (all []line, err error) {
	transports, err := e.transports(ctx)
	if err != nil {
		return nil, err
	}
	echo, relay, err := e.startEchoes(ctx)
	if err != nil {
		return nil, err
	}
	defer echo.stop()
	defer relay.stop()
	for _, t := range transports {
		t.places.echo, t.places.relay = echo, relay
		w, err := e.startPHP(ctx, t.places)
		if err != nil {
			return nil, err
		}
		s, err := sides(w)
		var table round.Table
		if err == nil {
			table, err = round.Run(ctx, rounds, s...)
		}
		if err = errors.Join(err, w.stop()); err != nil {
			return nil, err
		}
		all = append(all, lines(t.name, table)...)
	}
	return all, nil
}

// oneWrite is a PHP request that writes once: connect, write, close.
func oneWrite(ctx context.Context, e *env) ([]line, error) {
	const rounds, times = 20, 200
	return e.eachTransport(ctx, rounds, func(w *phpWorker) ([]round.Side, error) {
		return []round.Side{
			w.side(guide, "one", "guide", times),
			w.side(ticketd, "one", wayTicketd, times),
			w.side(journaled, "one", wayJournal, times),
			w.side(withoutRedis, "one", wayAlone, times),
			w.side(floor, "one", "echo", times),
			w.side(floorHSET, "one", "relay", times),
			w.side("phpredis pconnect", "one", "pconnect", times),
			w.side("phpredis, held", "one", "held", times),
			w.side("mysqli upsert", "one", "mysqli", times/10),
			w.side("mysqli upsert, held", "one", "mysqli-held", times/10),
		}, nil
	}, func(at string, t round.Table) []line {
		return []line{
			timed("one write in a PHP request, "+at, t, ticketd, guide, target{atMost: 0.6}),
			withoutSides(timed("one write, ack = journal, "+at, t, journaled, guide, target{atMost: 0.4})),
			withoutSides(timed("one write, ack = journal, against the C floor, "+at, t, journaled, floor, target{atMost: 1.5})),
		}
	})
}

// tenWrites is a PHP request that writes ten times.
func tenWrites(ctx context.Context, e *env) ([]line, error) {
	const rounds, times = 20, 40
	return e.eachTransport(ctx, rounds, func(w *phpWorker) ([]round.Side, error) {
		return []round.Side{
			w.side(guide, "ten", "guide", times),
			w.side(ticketd, "ten", wayTicketd, times),
			w.side(batch, "batch", wayTicketd, times),
			w.side(journaled, "ten", wayJournal, times),
			w.side("ticketd, ack journal, one batch", "batch", wayJournal, times),
			w.side(withoutRedis, "ten", wayAlone, times),
			w.side(floorHSET, "ten", "relay", times),
			w.side("phpredis pconnect", "ten", "pconnect", times),
			w.side("phpredis, held", "ten", "held", times),
			w.side("mysqli upsert, held", "ten", "mysqli-held", times/10),
		}, nil
	}, func(at string, t round.Table) []line {
		return []line{
			timed("ten writes, one after the other, "+at, t, ticketd, guide, target{atMost: 0.5}),
			withoutSides(timed("ten writes as one batch, "+at, t, batch, guide, target{atMost: 0.12})),
		}
	})
}

// get is a PHP request that reads a ticket which Redis holds.
func get(ctx context.Context, e *env) ([]line, error) {
	const rounds, times = 20, 200
	return e.eachTransport(ctx, rounds, func(w *phpWorker) ([]round.Side, error) {
		for _, way := range []string{"guide", wayTicketd, wayAlone, "mysqli-held"} {
			const tickets = 1000 // as many as php/ways.php uses: each ticket is complete in Redis when read
			for _, task := range []string{"one", "get"} {
				if _, err := w.run(task, way, tickets); err != nil {
					return nil, err
				}
			}
		}
		return []round.Side{
			w.side(guide, "get", "guide", times),
			w.side(ticketd, "get", wayTicketd, times),
			w.side(withoutRedis, "get", wayAlone, times),
			w.side("phpredis pconnect", "get", "pconnect", times),
			w.side("phpredis, held", "get", "held", times),
			w.side("mysqli select, held", "get", "mysqli-held", times),
		}, nil
	}, func(at string, t round.Table) []line {
		return []line{timed("get of a ticket that Redis holds, "+at, t, ticketd, guide, target{atMost: 0.6})}
	})
}

// farRedis measures a write in a PHP request with a delay of a millisecond for each reply of Redis.
func farRedis(ctx context.Context, e *env) (lines []line, err error) {
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "redis",
		"127.0.0.1:0", e.redis.Addr())
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("starting the proxy: %w", err)
	}
	defer proxy.Stop()
	slow := strings.NewReader(`{"type": "latency", "stream": "downstream", "attributes": {"latency": 1}}`)
	if _, err := proxy.Toxics.AddToxicJson(slow); err != nil {
		return nil, fmt.Errorf("slowing the proxy down: %w", err)
	}
	d, err := e.startDaemon(ctx, "far", proxy.Listen, "")
	if err != nil {
		return nil, err
	}
	journal, err := e.startDaemon(ctx, "farearly", proxy.Listen, early)
	if err != nil {
		return nil, err
	}
	host, text, err := net.SplitHostPort(proxy.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	w, err := e.startPHP(ctx, phpPlaces{redis: host, port: port, daemons: map[string]*daemon{
		wayTicketd: d, wayJournal: journal,
	}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	const rounds, times = 20, 50
	table, err := round.Run(ctx, rounds,
		w.side(guide, "one", "guide", times),
		w.side(ticketd, "one", wayTicketd, times),
		w.side(journaled, "one", wayJournal, times),
		w.side("phpredis pconnect", "one", "pconnect", times),
		w.side("phpredis, held", "one", "held", times),
	)
	if err != nil {
		return nil, err
	}
	// The daemons stop before the proxy, without changes to flush.
	return []line{
		timed("one write with 1 ms of latency to Redis", table, ticketd, guide, target{atMost: 0.45}),
		withoutSides(timed("one write with 1 ms of latency to Redis, ack = journal", table, journaled, guide, target{atMost: 0.05})),
	}, errors.Join(d.Stop(), journal.Stop())
}

// phpWorker is a PHP process that runs the ways of php/.
type phpWorker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	daemons map[string]*daemon // by way
	pids    []int              // of all processes that work for a write
}

// phpPlaces are the addresses that the ways use.
type phpPlaces struct {
	redis   string             // a Unix socket's path, or a host
	port    int                // 0 for a Unix socket
	daemons map[string]*daemon // by the way that uses the daemon
	// echo and relay are the floors; nil if a row has no floors.
	echo, relay *echoServer
}

// unixPlaces are the Unix sockets of the servers.
func (e *env) unixPlaces() phpPlaces {
	return phpPlaces{redis: e.redis.Socket(), daemons: map[string]*daemon{
		wayTicketd: e.main, wayJournal: e.journal, wayAlone: e.alone,
	}}
}

// startPHP starts a worker.
func (e *env) startPHP(ctx context.Context, at phpPlaces) (*phpWorker, error) {
	plugin, err := filepath.Abs(filepath.Join("php-client", "ticketd"))
	if err != nil {
		return nil, err
	}
	w := &phpWorker{daemons: at.daemons, pids: []int{e.redis.PID(), e.mariadb.PID()}}
	places := map[string]any{
		"plugin": plugin, "redis": at.redis, "redis_port": at.port, "redis_password": e.password,
		"mysql": e.mariadb.Socket(), "database": database,
	}
	for way, d := range at.daemons {
		places[way] = map[string]string{"socket": d.socket, "spool": d.spool}
		w.pids = append(w.pids, d.PID())
	}
	for name, s := range map[string]*echoServer{"echo": at.echo, "relay": at.relay} {
		if s != nil {
			places[name] = map[string]string{"socket": s.socket, "spool": e.main.spool}
			w.pids = append(w.pids, s.cmd.Process.Pid)
		}
	}
	text, err := json.Marshal(places)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(e.dir, "places.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return w, w.start(ctx, file)
}

func (w *phpWorker) start(ctx context.Context, places string) (err error) {
	// PHP-FPM compiles no file twice: so this does not either.
	w.cmd = exec.CommandContext(ctx, "php", "-d", "opcache.enable_cli=1", filepath.Join("bench", "php", "worker.php"), places)
	w.cmd.Stderr = os.Stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("starting PHP: %w", err)
	}
	w.pids = append(w.pids, w.cmd.Process.Pid)
	return nil
}

// stop ends the worker by closing the worker's input.
func (w *phpWorker) stop() error { return errors.Join(w.in.Close(), w.cmd.Wait()) }

// run repeats a task by a way so many times and returns the time taken, measured in PHP.
func (w *phpWorker) run(task, way string, times int) (time.Duration, error) {
	if _, err := fmt.Fprintln(w.in, task, way, times); err != nil {
		return 0, fmt.Errorf("asking the PHP worker: %w", err)
	}
	answer, err := w.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the PHP worker's answer: %w", err)
	}
	answer = strings.TrimSpace(answer)
	took, err := strconv.ParseInt(answer, 10, 64)
	if err != nil {
		return 0, errors.New(answer)
	}
	return time.Duration(took), nil
}

// side makes a side of a way: the task so many times, then the daemon's flush, which is part of a write's processor time and
// must not fall into the next side's turn.
func (w *phpWorker) side(name, task, way string, times int) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		before, err := cpu(w.pids...)
		if err != nil {
			return round.Sample{}, err
		}
		took, err := w.run(task, way, times)
		if err != nil {
			return round.Sample{}, err
		}
		if d := w.daemons[way]; d != nil {
			if err := d.flush(ctx); err != nil {
				return round.Sample{}, err
			}
		}
		after, err := cpu(w.pids...)
		return round.Sample{Value: perTime(took, times), CPU: perTime(after-before, times)}, err
	}}
}

// The names in php/worker.php of the ways through the daemons.
const (
	wayTicketd = "ticketd"
	wayJournal = "journal"
	wayAlone   = "alone"
)

// perTime is in microseconds.
func perTime(d time.Duration, times int) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(times)
}
