package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/protocol"
)

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
