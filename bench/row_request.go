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
	guide     = "the guide's way"
	ticketd   = "ticketd"
	batch     = "ticketd, one batch"
	journaled = "ticketd, ack journal"

	journaledBatch = "ticketd, ack journal, one batch"

	withoutRedis = "ticketd without Redis"
	floor        = "floor: C, no Redis"
	floorOne     = "floor: C, no Redis, one small write"
	floorHSET    = "floor: C, HSET on a socket"
	floorScript  = "floor: C, ticketd's script"
)

// rivals are the ways that do the same work without ticketd.
var rivals = map[string]bool{guide: true, eventDriven: true, actionScheduler: true, writeThrough: true}

// transport is a way to reach Redis, the same for all sides of a line: a rival must not be slower only because of its
// transport.
type transport struct {
	name   string
	places phpPlaces
}

// The transports that the rows know.
const (
	overSocket = "Redis on a Unix socket"
	overTCP    = "Redis over TCP"
	overTLS    = "Redis over TLS"
)

// transports are the transports with these names; daemons that reach Redis in another way are started at the first use.
func (e *env) transports(ctx context.Context, names ...string) (all []transport, err error) {
	for _, name := range names {
		places := e.unixPlaces()
		switch name {
		case overTCP:
			places, err = e.tcpPlaces(ctx)
		case overTLS:
			var t *tlsPlace
			if t, err = e.overTLS(ctx); err == nil {
				places = t.places(e)
			}
		}
		if err != nil {
			return nil, err
		}
		all = append(all, transport{name, places})
	}
	return all, nil
}

// tcpPlaces are the addresses for PHP where Redis is reached over TCP.
func (e *env) tcpPlaces(ctx context.Context) (phpPlaces, error) {
	host, text, err := net.SplitHostPort(e.redis.Addr())
	if err != nil {
		return phpPlaces{}, err
	}
	if e.tcp == nil {
		if e.tcp, err = e.startDaemon(ctx, "tcp", e.redis.Addr(), ""); err != nil {
			return phpPlaces{}, err
		}
		if e.tcpJournal, err = e.startDaemon(ctx, "tcpearly", e.redis.Addr(), early); err != nil {
			return phpPlaces{}, err
		}
	}
	port, err := strconv.Atoi(text)
	return phpPlaces{redis: host, port: port, daemons: map[string]*daemon{
		wayTicketd: e.tcp, wayJournal: e.tcpJournal, wayAlone: e.alone,
	}}, err
}

// overEach measures the sides over each transport, with the same floors.
func (e *env) overEach(
	ctx context.Context, rounds int, transports []transport,
	sides func(*phpWorker) ([]round.Side, error), lines func(at string, t round.Table) []line,
) (all []line, err error) {
	floors, err := e.startFloors(ctx)
	if err != nil {
		return nil, err
	}
	defer floors.stop()
	for _, t := range transports {
		t.places.floors = floors
		w, err := e.startPHP(ctx, t.places)
		if err != nil {
			return nil, err
		}
		s, err := sides(w)
		var found []line
		if err == nil {
			found, err = e.inRounds(ctx, rounds, s, func(table round.Table) []line { return lines(t.name, table) })
		}
		if err = errors.Join(err, w.stop()); err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// oneWrite is a PHP request that writes once: connect, write, close.
func oneWrite(ctx context.Context, e *env) ([]line, error) {
	const rounds = 15
	times := e.much(150)
	transports, err := e.transports(ctx, overSocket, overTCP, overTLS)
	if err != nil {
		return nil, err
	}
	return e.overEach(ctx, rounds, transports, func(w *phpWorker) ([]round.Side, error) {
		few := times
		if w.slow {
			few = max(times/10, 1)
		}
		return []round.Side{
			w.side(guide, "one", "guide", few),
			w.side(ticketd, "one", wayTicketd, times),
			w.side(journaled, "one", wayJournal, times),
			w.side(withoutRedis, "one", wayAlone, times),
			w.side(floor, "one", wayFloor, times),
			w.side(floorHSET, "one", wayHSET, times),
			w.side(floorScript, "one", wayScript, times),
			w.side("phpredis pconnect", "one", "pconnect", few),
			w.side("phpredis, held", "one", "held", times),
			w.side("mysqli upsert", "one", "mysqli", max(times/10, 1)),
			w.side("mysqli upsert, held", "one", "mysqli-held", max(times/10, 1)),
		}, nil
	}, oneWriteLines)
}

// oneWriteTargets are the targets against the guide's way: with the acknowledgement from Redis, from the journal, and without
// Redis.
var oneWriteTargets = map[string][3]target{
	overSocket: {{atMost: 0.95}, {atMost: 0.53}, {atMost: 0.48}},
	overTCP:    {{atMost: 0.7}, {atMost: 0.4}, {atMost: 0.36}},
	overTLS:    {{atMost: 0.25}, {atMost: 0.06}, {}},
}

func oneWriteLines(at string, t round.Table) []line {
	targets := oneWriteTargets[at]
	what := "one write, " + at + ", against the guide's way: "
	lines := costs(
		above(timed(what+"Redis ack", t, ticketd, guide, targets[0]), t, floorScript, guide),
		above(withoutSides(timed(what+"ack = journal", t, journaled, guide, targets[1])), t, floor, guide),
	)
	if at == overTLS { // without Redis there is no TLS
		return lines
	}
	lines = append(lines, costs(above(withoutSides(timed(what+"no Redis", t, withoutRedis, guide, targets[2])), t, floor, guide))...)
	if at != overSocket { // the floors are the same over each transport
		return lines
	}
	return append(lines,
		withoutSides(timed("one write, no Redis, against the C floor: time", t, withoutRedis, floor, target{atMost: 1.25})),
		served("one write, no Redis, against the C floor: server's processor time", t, withoutRedis, floor, target{atMost: 1.5}),
		withoutSides(timed("one write, ack = journal, against the C floor", t, journaled, floor, target{atMost: 1.4})),
		withoutSides(timed("one write, Redis ack, against the C floor with the same script: time", t, ticketd, floorScript,
			target{atMost: 1.4})),
		served("one write, Redis ack, against the C floor with the same script: server's processor time", t, ticketd, floorScript,
			target{}),
	)
}

// tenWrites is a PHP request that writes ten times.
func tenWrites(ctx context.Context, e *env) ([]line, error) {
	const rounds = 15
	times := e.much(30)
	transports, err := e.transports(ctx, overSocket, overTCP)
	if err != nil {
		return nil, err
	}
	atMost := map[string]float64{overSocket: 0.7, overTCP: 0.6}
	return e.overEach(ctx, rounds, transports, func(w *phpWorker) ([]round.Side, error) {
		return []round.Side{
			w.side(guide, "ten", "guide", times),
			w.side(ticketd, "ten", wayTicketd, times),
			w.side(batch, "batch", wayTicketd, times),
			w.side(journaled, "ten", wayJournal, times),
			w.side(journaledBatch, "batch", wayJournal, times),
			w.side(withoutRedis, "ten", wayAlone, times),
			w.side(floorHSET, "ten", wayHSET, times),
			w.side(floorScript, "ten", wayScript, times),
			w.side(floorOne, "one", wayFloor, times),
			w.side("phpredis pconnect", "ten", "pconnect", times),
			w.side("phpredis, held", "ten", "held", times),
			w.side("mysqli upsert, held", "ten", "mysqli-held", max(times/10, 1)),
		}, nil
	}, func(at string, t round.Table) []line {
		return []line{
			above(timed("ten writes one by one, "+at+": Redis ack", t, ticketd, guide, target{atMost: atMost[at]}), t, floorScript, guide),
			above(withoutSides(timed("ten writes as one batch, "+at+": Redis ack", t, batch, guide, target{atMost: 0.2})),
				t, floorOne, guide),
			above(withoutSides(timed("ten writes as one batch, "+at+": ack = journal", t, journaledBatch, guide, target{atMost: 0.08})),
				t, floorOne, guide),
		}
	})
}

// get is a PHP request that reads a ticket which Redis holds.
func get(ctx context.Context, e *env) ([]line, error) {
	const rounds = 15
	times := e.much(150)
	transports, err := e.transports(ctx, overSocket, overTCP)
	if err != nil {
		return nil, err
	}
	atMost := map[string]float64{overSocket: 0.7, overTCP: 0.6}
	return e.overEach(ctx, rounds, transports, func(w *phpWorker) ([]round.Side, error) {
		const tickets = 1000 // as many as php/ways.php uses: each ticket is complete in Redis when read
		if err := e.fillTable(ctx, plainTable, tickets); err != nil {
			return nil, err
		}
		for _, way := range []string{"guide", wayTicketd, wayAlone} {
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
			w.side(floorOne, "one", wayFloor, times),
			w.side(floorHSET, "one", wayHSET, times),
		}, nil
	}, func(at string, t round.Table) []line {
		lines := []line{
			above(timed("get of a ticket that Redis holds, "+at, t, ticketd, guide, target{atMost: atMost[at]}), t, floorHSET, guide),
		}
		if at == overSocket {
			lines = append(lines, above(withoutSides(timed("get without Redis, against the guide's get, "+at, t, withoutRedis, guide,
				target{atMost: 0.3})), t, floorOne, guide))
		}
		return lines
	})
}

// farPlace is Redis behind a proxy that delays each reply by a millisecond, with daemons.
type farPlace struct {
	proxy             *toxiproxy.Proxy
	ticketd, journals *daemon
	places            phpPlaces
}

// farAway starts the proxy and the daemons; name is part of the daemons' names.
func (e *env) farAway(ctx context.Context, name string) (f *farPlace, err error) {
	f = &farPlace{proxy: toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "redis",
		"127.0.0.1:0", e.redis.Addr())}
	if err := f.proxy.Start(); err != nil {
		return nil, fmt.Errorf("starting the proxy: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.end())
		}
	}()
	slow := strings.NewReader(`{"type": "latency", "stream": "downstream", "attributes": {"latency": 1}}`)
	if _, err := f.proxy.Toxics.AddToxicJson(slow); err != nil {
		return nil, fmt.Errorf("slowing the proxy down: %w", err)
	}
	if f.ticketd, err = e.startDaemon(ctx, name, f.proxy.Listen, ""); err != nil {
		return nil, err
	}
	if f.journals, err = e.startDaemon(ctx, name+"early", f.proxy.Listen, early); err != nil {
		return nil, err
	}
	host, text, err := net.SplitHostPort(f.proxy.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	f.places = phpPlaces{redis: host, port: port, daemons: map[string]*daemon{
		wayTicketd: f.ticketd, wayJournal: f.journals, wayAlone: e.alone,
	}}
	return f, err
}

// end stops the daemons before the proxy.
func (f *farPlace) end() error {
	var errs []error
	for _, d := range []*daemon{f.ticketd, f.journals} {
		if d != nil {
			errs = append(errs, d.Stop())
		}
	}
	f.proxy.Stop()
	return errors.Join(errs...)
}

// farRedis measures a write in a PHP request with a delay of a millisecond for each reply of Redis.
func farRedis(ctx context.Context, e *env) (lines []line, err error) {
	far, err := e.farAway(ctx, "far")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, far.end()) }()
	w, err := e.startPHP(ctx, far.places)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	const rounds = 15
	times := e.much(50)
	return e.inRounds(ctx, rounds, []round.Side{
		w.side(guide, "one", "guide", times),
		w.side(ticketd, "one", wayTicketd, times),
		w.side(journaled, "one", wayJournal, times),
		w.side("phpredis pconnect", "one", "pconnect", times),
		w.side("phpredis, held", "one", "held", times),
	}, func(t round.Table) []line {
		const what = "one write, Redis 1 ms away, against the guide's way: "
		return costs(
			timed(what+"Redis ack", t, ticketd, guide, target{atMost: 0.45}),
			withoutSides(timed(what+"ack = journal", t, journaled, guide, target{atMost: 0.05})),
		)
	})
}

// phpWorker is a PHP process that runs the ways of php/.
type phpWorker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	daemons map[string]*daemon // by way
	pids    []int              // of all processes that work for a write
	servers map[string]int     // the process of a way's server, by way
	slow    bool               // a connection to Redis is slow
	// prepare is called before each turn of a way, by way.
	prepare map[string]func(context.Context) error
}

// phpPlaces are the addresses that the ways use.
type phpPlaces struct {
	redis   string             // a Unix socket's path, or a host
	port    int                // 0 for a Unix socket
	daemons map[string]*daemon // by the way that uses the daemon
	floors  *floors            // nil if a row has no floors
	// certificate is the file with the certificate that a Redis over TLS shows; empty without TLS.
	certificate string
	pids        []int // of further servers
}

// unixPlaces are the Unix sockets of the servers.
func (e *env) unixPlaces() phpPlaces {
	return phpPlaces{redis: e.redis.Socket(), daemons: map[string]*daemon{
		wayTicketd: e.main, wayJournal: e.journal, wayAlone: e.alone,
	}}
}

// startPHP starts a worker.
func (e *env) startPHP(ctx context.Context, at phpPlaces) (*phpWorker, error) {
	file, err := e.placesFile(at)
	if err != nil {
		return nil, err
	}
	w := &phpWorker{
		daemons: at.daemons, pids: append([]int{e.redis.PID(), e.mariadb.PID()}, at.pids...), servers: map[string]int{},
		slow: at.certificate != "", prepare: map[string]func(context.Context) error{wayScript: e.forget},
	}
	for way, d := range at.daemons {
		w.servers[way] = d.PID()
	}
	for way, s := range at.floors.byWay() {
		w.servers[way] = s.cmd.Process.Pid
	}
	for _, pid := range w.servers {
		w.pids = append(w.pids, pid)
	}
	return w, w.start(ctx, file)
}

// placesFile writes the addresses to a file for php/.
func (e *env) placesFile(at phpPlaces) (string, error) {
	plugin, err := filepath.Abs(filepath.Join("php-client", "ticketd"))
	if err != nil {
		return "", err
	}
	places := map[string]any{
		"plugin": plugin, "redis": at.redis, "redis_port": at.port, "redis_password": e.password, "redis_ca": at.certificate,
		"mysql": e.mariadb.Socket(), "database": database, "written": e.written,
	}
	e.written += 10_000_000
	for way, d := range at.daemons {
		places[way] = map[string]string{"socket": d.socket, "spool": d.spool}
	}
	for way, s := range at.floors.byWay() {
		places[way] = map[string]string{"socket": s.socket, "spool": e.main.spool}
	}
	text, err := json.Marshal(places)
	if err != nil {
		return "", err
	}
	file := filepath.Join(e.dir, "places.json")
	return file, os.WriteFile(file, text, 0o600)
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
// must not fall into the next side's turn. The server's processor time is that until the last answer, without the flush.
func (w *phpWorker) side(name, task, way string, times int) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		if prepare := w.prepare[way]; prepare != nil {
			if err := prepare(ctx); err != nil {
				return round.Sample{}, err
			}
		}
		before, err1 := cpu(w.pids...)
		server, err2 := w.server(way)
		if err := errors.Join(err1, err2); err != nil {
			return round.Sample{}, err
		}
		took, err := w.run(task, way, times)
		if err != nil {
			return round.Sample{}, err
		}
		answered, err := w.server(way)
		if err != nil {
			return round.Sample{}, err
		}
		if d := w.daemons[way]; d != nil {
			if err := d.flush(ctx); err != nil {
				return round.Sample{}, err
			}
		}
		after, err := cpu(w.pids...)
		return round.Sample{
			Value: perTime(took, times), CPU: perTime(after-before, times), Server: perTime(answered-server, times),
		}, err
	}}
}

// server is the processor time of a way's own server; 0 for a way without one.
func (w *phpWorker) server(way string) (time.Duration, error) {
	pid, has := w.servers[way]
	if !has {
		return 0, nil
	}
	return cpu(pid)
}

// The names in php/worker.php of the ways through the daemons and the floors.
const (
	wayTicketd = "ticketd"
	wayJournal = "journal"
	wayAlone   = "alone"
	wayFloor   = "floor"
	wayHSET    = "hset"
	wayScript  = "script"
)

// perTime is in microseconds.
func perTime(d time.Duration, times int) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(times)
}
