package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"
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
	script, err := e.plainScript(ctx)
	if err != nil {
		return nil, err
	}
	const rounds, each, pipeline = 10, time.Second, 16
	table, err := round.Run(ctx, rounds,
		round.Side{Name: ticketd, Run: func(ctx context.Context) (round.Sample, error) {
			return e.writeAll(ctx, load, each)
		}},
		round.Side{Name: "redis-benchmark, pipelined", Run: func(ctx context.Context) (round.Sample, error) {
			return e.redisBenchmark(ctx, script, pipeline, 60_000)
		}},
		round.Side{Name: "redis-benchmark, one by one", Run: func(ctx context.Context) (round.Sample, error) {
			return e.redisBenchmark(ctx, script, 1, 20_000)
		}},
	)
	if err != nil {
		return nil, err
	}
	l := rated("writes/s of 64 connections", table, ticketd, "redis-benchmark, pipelined", target{atLeast: 0.6})
	return []line{l}, nil
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

// plainScript is the daemon's own script for a write as a redis-benchmark command, on keys with a separate prefix.
func (e *env) plainScript(ctx context.Context) ([]string, error) {
	client := goredis.NewClient(e.redis.Options())
	defer func() { _ = client.Close() }()
	if err := client.HSet(ctx, "rb:ticket:meta", "epoch", "1", "rev", "1").Err(); err != nil {
		return nil, err
	}
	source, err := os.ReadFile(filepath.Join("store", "redis", "apply.lua"))
	if err != nil {
		return nil, err
	}
	sha, err := client.ScriptLoad(ctx, string(source)).Result()
	if err != nil {
		return nil, fmt.Errorf("loading the script: %w", err)
	}
	call := []string{
		"EVALSHA", sha, "4", "rb:ticket:dirty", "rb:ticket:dead", "rb:ticket:meta", "rb:ticket:__rand_int__",
		"1", "", "", "1",
		"0", "0", "2", "__rand_int__", "1000", "1000", "0", "0",
		"5", "status", "pending", "priority", "high", "assigned_to", "7", "category", "printers",
		"updated_at", "2026-01-01 00:00:00", "0",
	}
	// redis-benchmark ignores the replies, so check a single reply here.
	args := make([]any, len(call))
	for i, arg := range call {
		args[i] = strings.ReplaceAll(arg, "__rand_int__", "7")
	}
	reply, err := client.Do(ctx, args...).Int64Slice()
	if err != nil || len(reply) != 3 || reply[0] != 0 {
		return nil, fmt.Errorf("the script answers %v (%w): its arguments have changed", reply, err)
	}
	return call, nil
}

var perSecond = regexp.MustCompile(`([0-9.]+) requests per second`)

// redisBenchmark calls the script so many times over as many connections as the crowd has.
func (e *env) redisBenchmark(ctx context.Context, script []string, pipeline, requests int) (round.Sample, error) {
	args := append([]string{
		"-s", e.redis.Socket(), "-a", e.password, "-q", "-r", "1000",
		"-c", strconv.Itoa(crowdSize), "-P", strconv.Itoa(pipeline), "-n", strconv.Itoa(requests),
	}, script...)
	out, err := exec.CommandContext(ctx, "redis-benchmark", args...).CombinedOutput()
	if err != nil {
		return round.Sample{}, fmt.Errorf("redis-benchmark: %w\n%s", err, out)
	}
	found := perSecond.FindAllSubmatch(out, -1)
	if len(found) == 0 {
		return round.Sample{}, fmt.Errorf("redis-benchmark says no rate:\n%s", out)
	}
	rate, err := strconv.ParseFloat(string(found[len(found)-1][1]), 64)
	return round.Sample{Value: rate}, err
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
