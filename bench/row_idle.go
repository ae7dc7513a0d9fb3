package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ticketd/ticketd/bench/round"
)

// idle measures the cost of a daemon without requests, and the time until the daemon is ready.
func idle(ctx context.Context, e *env) ([]line, error) {
	d, err := e.startDaemon(ctx, "idle", "unix://"+e.redis.Socket(), "")
	if err != nil {
		return nil, err
	}
	lines, err := e.settled(func() ([]line, error) { return d.atRest(ctx, e.much(15), e.span(2*time.Second)) })
	return lines, errors.Join(err, d.Stop())
}

// atRest restarts the daemon so many times and then watches the daemon do nothing.
func (d *daemon) atRest(ctx context.Context, starts int, watched time.Duration) ([]line, error) {
	var ready []float64
	for range starts {
		if err := d.Stop(); err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := d.Restart(ctx); err != nil {
			return nil, err
		}
		ready = append(ready, float64(time.Since(begin).Microseconds())/1000)
	}
	const times = 5
	var share, memory []float64
	for range times {
		before, err := cpu(d.PID())
		if err != nil {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(watched):
		}
		after, err := cpu(d.PID())
		if err != nil {
			return nil, err
		}
		rss, err := resident(d.PID(), "VmRSS")
		if err != nil {
			return nil, err
		}
		share = append(share, 100*(after-before).Seconds()/watched.Seconds())
		memory = append(memory, rss)
	}
	return []line{
		{what: "idle: memory", value: round.SpreadOf(memory), unit: "MB", target: target{atMost: 22}},
		{what: "idle: processor", value: round.SpreadOf(share), unit: "% of a core", target: target{atMost: 0.1}},
		{what: "ready after", value: round.SpreadOf(ready), unit: "ms", target: target{atMost: 50}},
	}, nil
}

// resident reads a process' memory in MB from the kernel: VmRSS is the current value, VmHWM the highest.
func resident(pid int, which string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, found := strings.Cut(string(text), which+":")
	var kilobytes float64
	if _, err := fmt.Sscan(rest, &kilobytes); !found || err != nil {
		return 0, fmt.Errorf("process %d: no %s", pid, which)
	}
	return kilobytes / 1024, nil
}
