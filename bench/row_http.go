package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
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

// crowdSize is how many connections write at once.
const crowdSize = 64

// crowd measures many connections that write at once, against redis-benchmark with the same script.
func crowd(ctx context.Context, e *env) (lines []line, err error) {
	load, err := newCrowdLoad(e.main.socket, crowdSize)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, load.close()) }()
	script, err := e.scriptCall(ctx, "rb:", false)
	if err != nil {
		return nil, err
	}
	const rounds, pipeline = 8, 16
	each := e.span(time.Second)
	const pipelined = "redis-benchmark, pipelined"
	return e.inRounds(ctx, rounds, []round.Side{
		{Name: ticketd, Run: func(ctx context.Context) (round.Sample, error) {
			return e.writeAll(ctx, load, each)
		}},
		{Name: pipelined, Run: func(ctx context.Context) (round.Sample, error) {
			return e.redisBenchmark(ctx, script, pipeline, e.much(60_000))
		}},
		{Name: "redis-benchmark, one by one", Run: func(ctx context.Context) (round.Sample, error) {
			return e.redisBenchmark(ctx, script, 1, e.much(20_000))
		}},
	}, func(t round.Table) []line {
		return []line{rated("writes/s of 64 connections, against redis-benchmark pipelined", t, ticketd, pipelined,
			target{atLeast: 0.8})}
	})
}

// writeAll has the load write until the time is over, and returns the writes per second.
func (e *env) writeAll(ctx context.Context, load *crowdLoad, each time.Duration) (round.Sample, error) {
	pids := []int{e.redis.PID(), e.main.PID()}
	before, err := cpu(pids...)
	if err != nil {
		return round.Sample{}, err
	}
	begin := time.Now()
	writes, err := load.run(ctx, begin.Add(each))
	if err != nil {
		return round.Sample{}, err
	}
	took := time.Since(begin)
	after, err := cpu(pids...)
	return round.Sample{
		Value: float64(writes) / took.Seconds(), CPU: perTime(after-before, int(writes)),
	}, errors.Join(err, e.main.flush(ctx))
}

// fourFields is the same write as in php/ways.php.
func fourFields(n int64) []protocol.Field {
	return []protocol.Field{
		{Name: "status", Value: protocol.Text("pending")}, {Name: "priority", Value: protocol.Text("high")},
		{Name: "assigned_to", Value: protocol.Int(n)}, {Name: "category", Value: protocol.Text("printers")},
	}
}

var perSecond = regexp.MustCompile(`([0-9.]+) requests per second`)

// redisBenchmark calls the script so many times over as many connections as the crowd has.
func (e *env) redisBenchmark(ctx context.Context, script []string, pipeline, requests int) (round.Sample, error) {
	args := append([]string{
		"-s", e.redis.Socket(), "-a", e.password, "-q", "-r", "1000",
		"-c", strconv.Itoa(crowdSize), "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(requests),
	}, script...)
	before, err := cpu(e.redis.PID())
	if err != nil {
		return round.Sample{}, err
	}
	out, err := exec.CommandContext(ctx, "redis-benchmark", args...).CombinedOutput()
	if err != nil {
		return round.Sample{}, fmt.Errorf("redis-benchmark: %w\n%s", err, out)
	}
	found := perSecond.FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return round.Sample{}, fmt.Errorf("redis-benchmark says no rate:\n%s", out)
	}
	rate, err1 := strconv.ParseFloat(string(found[len(found)-1][1]), 64)
	after, err2 := cpu(e.redis.PID())
	return round.Sample{Value: rate, CPU: perTime(after-before, requests)}, errors.Join(err1, err2)
}

// crowdLoad is many connections that each write, wait for the reply, and write again. A single loop over epoll serves all
// connections, like redis-benchmark's: a goroutine for each would take as much processor time as the daemon.
type crowdLoad struct {
	epoll       int
	connections []int // file descriptors
	encoder     protocol.Encoder
	buf         [1 << 10]byte // more than the reply to a write takes
	sent, done  int64
}

func newCrowdLoad(socket string, connections int) (l *crowdLoad, err error) {
	l = &crowdLoad{}
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	for range connections {
		if err := l.connect(socket); err != nil {
			return nil, errors.Join(fmt.Errorf("connecting to %s: %w", socket, err), l.close())
		}
	}
	return l, nil
}

func (l *crowdLoad) connect(socket string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	l.connections = append(l.connections, fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return err
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)} //nolint:gosec // a descriptor is a small number
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &event)
}

func (l *crowdLoad) close() error {
	err := unix.Close(l.epoll)
	for _, fd := range l.connections {
		err = errors.Join(err, unix.Close(fd))
	}
	return err
}

// run writes over all connections until end, and returns the number of writes, or the first error.
func (l *crowdLoad) run(ctx context.Context, end time.Time) (int64, error) {
	before := l.done
	for _, fd := range l.connections {
		if err := l.write(fd); err != nil {
			return 0, err
		}
	}
	const patience = 10_000 // milliseconds
	events := make([]unix.EpollEvent, len(l.connections))
	for l.done < l.sent {
		n, err := unix.EpollWait(l.epoll, events, patience)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("epoll: %w", err)
		case n == 0:
			return 0, fmt.Errorf("%d writes have had no reply for %d ms", l.sent-l.done, patience)
		}
		more := ctx.Err() == nil && time.Now().Before(end)
		for _, event := range events[:n] {
			if err := l.read(int(event.Fd)); err != nil {
				return 0, err
			}
			if !more {
				continue
			}
			if err := l.write(int(event.Fd)); err != nil {
				return 0, err
			}
		}
	}
	return l.done - before, ctx.Err()
}

func (l *crowdLoad) write(fd int) error {
	l.sent++
	const requestID = 1 // of each: a connection has a single request in flight
	frame, err := l.encoder.Request(requestID, protocol.MethodSet,
		&protocol.SetParams{ID: l.sent%1000 + 1, Fields: fourFields(l.sent)})
	if err != nil {
		return err
	}
	if n, err := unix.Write(fd, frame); err != nil || n < len(frame) {
		return fmt.Errorf("wrote %d of %d bytes: %w", n, len(frame), err)
	}
	return nil
}

// read takes the reply that has come, which the daemon writes at once.
func (l *crowdLoad) read(fd int) error {
	l.done++
	n, err := unix.Read(fd, l.buf[:])
	if err != nil || n <= protocol.HeaderBytes {
		return fmt.Errorf("read %d bytes of a reply: %w", n, err)
	}
	answer, err := protocol.DecodeAnswer(l.buf[protocol.HeaderBytes:n])
	switch {
	case err != nil:
		return err
	case answer.Reply == nil:
		return errors.New("the answer to a write is no reply")
	case answer.Reply.Err != nil:
		return answer.Reply.Err
	}
	return nil
}

// tlsPlace is a second Redis, which speaks TLS on its port, and the daemons that use it.
type tlsPlace struct {
	redis             *testenv.Redis
	port              int
	certificate       string // of the server; clients trust it
	ticketd, journals *daemon
}

// overTLS starts the Redis with TLS and its daemons, once. The clients show no certificate, as with most services.
func (e *env) overTLS(ctx context.Context) (*tlsPlace, error) {
	if e.tls != nil {
		return e.tls, nil
	}
	dir, err := e.folder("redistls")
	if err != nil {
		return nil, err
	}
	own, err := newCertificate(dir)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	t := &tlsPlace{certificate: own.CA}
	t.redis, err = testenv.StartRedis(ctx, dir, testenv.RedisOptions{
		Password: e.password, Certificates: own,
		Config: []string{"tls-auth-clients no", "appendonly yes", "maxmemory-policy noeviction"},
	})
	if err != nil {
		return nil, err
	}
	e.ends = append(e.ends, t.redis.Stop)
	_, port, err := net.SplitHostPort(t.redis.Addr())
	if err != nil {
		return nil, err
	}
	if t.port, err = strconv.Atoi(port); err != nil {
		return nil, err
	}
	trust := fmt.Sprintf("tls = true\ntls_ca = %q", own.CA)
	if t.ticketd, err = e.startDaemonWith(ctx, "tls", t.redis.Addr(), trust, ""); err != nil {
		return nil, err
	}
	if t.journals, err = e.startDaemonWith(ctx, "tlsearly", t.redis.Addr(), trust, early); err != nil {
		return nil, err
	}
	e.tls = t
	return t, nil
}

// places are the addresses for PHP.
func (t *tlsPlace) places(e *env) phpPlaces {
	return phpPlaces{
		redis: "tls://127.0.0.1", port: t.port, certificate: t.certificate, pids: []int{t.redis.PID()},
		daemons: map[string]*daemon{wayTicketd: t.ticketd, wayJournal: t.journals, wayAlone: e.alone},
	}
}

// newCertificate makes a certificate for 127.0.0.1 that signs itself.
func newCertificate(dir string) (*testenv.Certificates, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	const valid = 24 * time.Hour
	text := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "ticketd bench"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(valid),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, text, text, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	certFile, keyFile := filepath.Join(dir, "own.crt"), filepath.Join(dir, "own.key")
	return &testenv.Certificates{CA: certFile, ServerCert: certFile, ServerKey: keyFile}, errors.Join(
		os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
	)
}
