package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/protocol"
)

// crowdSize is how many connections write at once.
const crowdSize = 64

// crowd is many connections that write at once, against what redis-benchmark gets with the same script.
func crowd(ctx context.Context, e *env) (lines []line, err error) {
	clients, err := dialMany(ctx, e.main.socket, crowdSize)
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, c := range clients {
			err = errors.Join(err, c.Close())
		}
	}()
	script, err := e.plainScript(ctx)
	if err != nil {
		return nil, err
	}
	const rounds, each, pipeline = 10, time.Second, 16
	table, err := round.Run(ctx, rounds,
		round.Side{Name: ticketd, Run: func(ctx context.Context) (round.Sample, error) {
			return e.writeAll(ctx, clients, each)
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

func dialMany(ctx context.Context, socket string, n int) ([]*protocol.Client, error) {
	clients := make([]*protocol.Client, 0, n)
	for range n {
		c, err := protocol.Dial(ctx, socket)
		if err != nil {
			return clients, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

// writeAll has every client write until the time is over, and returns the writes per second. The load comes from one processor
// at a time, as redis-benchmark's does, which is a single thread.
func (e *env) writeAll(ctx context.Context, clients []*protocol.Client, each time.Duration) (round.Sample, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	pids := []int{e.redis.PID(), e.main.PID()}
	before, err := cpu(pids...)
	if err != nil {
		return round.Sample{}, err
	}
	begin := time.Now()
	end := begin.Add(each)
	var done atomic.Int64
	var all sync.WaitGroup
	errs := make([]error, len(clients))
	for i, c := range clients {
		all.Go(func() {
			for errs[i] == nil && time.Now().Before(end) {
				n := done.Add(1)
				_, errs[i] = c.Set(ctx, protocol.SetParams{ID: n%1000 + 1, Fields: fourFields(n)})
			}
		})
	}
	all.Wait()
	took := time.Since(begin)
	after, err := cpu(pids...)
	if err := errors.Join(errors.Join(errs...), err, e.main.flush(ctx)); err != nil {
		return round.Sample{}, err
	}
	writes := float64(done.Load())
	return round.Sample{Value: writes / took.Seconds(), CPU: float64((after - before).Microseconds()) / writes}, nil
}

// fourFields is a write like those of php/ways.php.
func fourFields(n int64) []protocol.Field {
	return []protocol.Field{
		{Name: "status", Value: protocol.Text("pending")}, {Name: "priority", Value: protocol.Text("high")},
		{Name: "assigned_to", Value: protocol.Int(n)}, {Name: "category", Value: protocol.Text("printers")},
	}
}

// plainScript is the daemon's own script for a write as redis-benchmark can call it, on keys of a prefix of its own.
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
	// redis-benchmark does not look at the replies, so one of them is looked at here.
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
