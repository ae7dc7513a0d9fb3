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
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
)

// children is how many PHP-FPM workers serve, and visitors how many requests are under way at a time.
const children, visitors = 16, 32

// throughFPM measures the rate of requests through nginx and PHP-FPM with a single write each, all processes on this machine.
func throughFPM(ctx context.Context, e *env) (lines []line, err error) {
	floors, err := e.startFloors(ctx)
	if err != nil {
		return nil, err
	}
	defer floors.stop()
	places := e.unixPlaces()
	places.floors = floors
	w, err := e.startWeb(ctx, "socket", places)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	const rounds = 7
	each := e.span(time.Second)
	script := w.side(floorScript, "ticketd.php?way="+wayScript, each)
	return e.inRounds(ctx, rounds, []round.Side{
		w.side(guide, "guide.php", each),
		w.side(ticketd, "ticketd.php", each),
		w.side(journaled, "ticketd.php?way="+wayJournal, each),
		w.side(withoutRedis, "ticketd.php?way="+wayAlone, each),
		w.side(floor, "ticketd.php?way="+wayFloor, each),
		w.side(floorHSET, "ticketd.php?way="+wayHSET, each),
		{Name: script.Name, Run: func(ctx context.Context) (round.Sample, error) {
			if err := e.forget(ctx); err != nil {
				return round.Sample{}, err
			}
			return script.Run(ctx)
		}},
		w.side("phpredis pconnect", "pconnect.php", each),
		w.side("mysqli upsert", "mysqli.php", each),
		w.side("no write at all", "empty.php", each),
	}, func(t round.Table) []line {
		const what = "requests/s through nginx and PHP-FPM, against the guide's way: "
		return []line{
			above(rated(what+"Redis ack", t, ticketd, guide, target{atLeast: 0.85}), t, floorScript, guide),
			above(withoutSides(rated(what+"ack = journal", t, journaled, guide, target{atLeast: 0.95})), t, floor, guide),
			above(withoutSides(rated(what+"no Redis", t, withoutRedis, guide, target{atLeast: 1.05})), t, floor, guide),
		}
	})
}

// throughFPMOverTLS is the same with Redis over TLS.
func throughFPMOverTLS(ctx context.Context, e *env) ([]line, error) {
	t, err := e.overTLS(ctx)
	if err != nil {
		return nil, err
	}
	return e.throughFPMTo(ctx, "tls", "Redis over TLS", t.places(e))
}

// throughFPMFar is the same with Redis a millisecond away.
func throughFPMFar(ctx context.Context, e *env) (lines []line, err error) {
	far, err := e.farAway(ctx, "farhttp")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, far.end()) }()
	return e.throughFPMTo(ctx, "far", "Redis 1 ms away", far.places)
}

// throughFPMTo measures requests with a single write each, where Redis is reached in another way; name is that of a folder.
func (e *env) throughFPMTo(ctx context.Context, name, at string, places phpPlaces) (lines []line, err error) {
	w, err := e.startWeb(ctx, name, places)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.end()) }()
	const rounds = 6
	each := e.span(time.Second)
	return e.inRounds(ctx, rounds, []round.Side{
		w.side(guide, "guide.php", each),
		w.side(ticketd, "ticketd.php", each),
		w.side(journaled, "ticketd.php?way="+wayJournal, each),
		w.side("phpredis pconnect", "pconnect.php", each),
	}, func(t round.Table) []line {
		what := "requests/s through nginx and PHP-FPM, " + at + ", against the guide's way: "
		return []line{
			rated(what+"Redis ack", t, ticketd, guide, target{}),
			withoutSides(rated(what+"ack = journal", t, journaled, guide, target{})),
		}
	})
}

// web is an nginx before a PHP-FPM whose scripts read the addresses of the servers from php.ini.
type web struct {
	fpm     *testenv.PHPFPM
	nginx   *testenv.Nginx
	address string
	pids    []int // of all processes that work for a request
	daemons []*daemon
}

// startWeb starts both; name is that of their folders.
func (e *env) startWeb(ctx context.Context, name string, at phpPlaces) (w *web, err error) {
	root, err := filepath.Abs(filepath.Join("bench", "php", "request"))
	if err != nil {
		return nil, err
	}
	fpmDir, err1 := e.folder("fpm" + name)
	nginxDir, err2 := e.folder("nginx" + name)
	ini, err3 := e.webPlaces(at)
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	w = &web{}
	if w.fpm, err = testenv.StartPHPFPM(ctx, fpmDir, testenv.PHPFPMOptions{Children: children, INI: ini}); err != nil {
		return nil, err
	}
	w.nginx, err = testenv.StartNginx(ctx, nginxDir, testenv.NginxOptions{Root: root, FastCGI: w.fpm.Socket(), TCP: true})
	if err != nil {
		return nil, errors.Join(err, w.fpm.Stop())
	}
	w.address = strings.TrimPrefix(w.nginx.URL(), "http://")
	php, err1 := family(w.fpm.PID())
	front, err2 := family(w.nginx.PID())
	w.pids = slices.Concat(php, front, at.pids, []int{e.redis.PID(), e.mariadb.PID()})
	for _, d := range at.daemons {
		w.daemons, w.pids = append(w.daemons, d), append(w.pids, d.PID())
	}
	for _, s := range at.floors.byWay() {
		w.pids = append(w.pids, s.cmd.Process.Pid)
	}
	if err := errors.Join(err1, err2); err != nil {
		return nil, errors.Join(err, w.end())
	}
	return w, nil
}

// webPlaces are the addresses as settings of php.ini.
func (e *env) webPlaces(at phpPlaces) (map[string]string, error) {
	plugin, err := filepath.Abs(filepath.Join("php-client", "ticketd"))
	ini := map[string]string{
		"bench.redis": at.redis, "bench.redis_port": strconv.Itoa(at.port), "bench.redis_ca": at.certificate,
		"bench.redis_password": e.password, "bench.database": database, "bench.mysql": e.mariadb.Socket(), "bench.plugin": plugin,
	}
	for way, d := range at.daemons {
		ini["bench."+way], ini["bench."+way+"_spool"] = d.socket, d.spool
	}
	for way, s := range at.floors.byWay() {
		ini["bench."+way], ini["bench."+way+"_spool"] = s.socket, e.main.spool
	}
	return ini, err
}

func (w *web) end() error { return errors.Join(w.nginx.Stop(), w.fpm.Stop()) }

// side requests a script for a time; the flush counts for the processor time and not for the rate.
func (w *web) side(name, script string, each time.Duration) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		before, err := cpu(w.pids...)
		if err != nil {
			return round.Sample{}, err
		}
		rate, err := httpLoad(ctx, w.address, "/"+script, visitors, each)
		if err != nil {
			return round.Sample{}, err
		}
		for _, d := range w.daemons {
			if err := d.flush(ctx); err != nil {
				return round.Sample{}, err
			}
		}
		after, err := cpu(w.pids...)
		return round.Sample{Value: rate, CPU: perTime(after-before, int(rate*each.Seconds()))}, err
	}}
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
