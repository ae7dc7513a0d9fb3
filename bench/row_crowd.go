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

	"github.com/ticketd/ticketd/bench/round"
	"github.com/ticketd/ticketd/protocol"
)

// crowdSize is how many connections write at once.
const crowdSize = 64

// crowd is many connections that write at once, against what redis-benchmark gets with the same script.
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
