package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/bench/round"
)

// The sides of the feed's row.
const (
	feedOff      = "one by one, without the feed"
	feedOn       = "one by one, with the feed"
	feedOffCrowd = "64 connections, without the feed"
	feedOnCrowd  = "64 connections, with the feed"
	feedOffAlone = "no Redis, without the feed"
	feedOnAlone  = "no Redis, with the feed"
)

// Settings of a site that flushes nothing while the row is measured, and of its feed. No consumer follows the feed, so that a
// write's own price is measured and not a courier's work.
const (
	unflushed = "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\"\n"
	withFeed  = unflushed + "[sites.main.feed]\nenabled = true\n"
)

// fed measures what a write costs more with the feed on: Redis' processor time with Redis, time without.
func fed(ctx context.Context, e *env) (lines []line, err error) {
	redis := "unix://" + e.redis.Socket()
	var sides []round.Side
	for _, s := range []struct {
		name, redis, site, one, crowd string
	}{
		{"feedoff", redis, unflushed, feedOff, feedOffCrowd}, {"feedon", redis, withFeed, feedOn, feedOnCrowd},
		{"feedoffalone", "", unflushed, feedOffAlone, ""}, {"feedonalone", "", withFeed, feedOnAlone, ""},
	} {
		d, err := e.startDaemon(ctx, s.name, s.redis, s.site)
		if err != nil {
			return nil, err
		}
		for _, load := range []struct {
			side        string
			connections int
		}{{s.one, 1}, {s.crowd, crowdSize}} {
			if load.side == "" {
				continue
			}
			l, err := newCrowdLoad(d.socket, load.connections)
			if err != nil {
				return nil, err
			}
			defer func() { err = errors.Join(err, l.close()) }()
			sides = append(sides, round.Side{Name: load.side, Run: func(ctx context.Context) (round.Sample, error) {
				return fedRound(ctx, e, d, l)
			}})
		}
	}
	const rounds = 12
	return e.inRounds(ctx, rounds, sides, feedLines)
}

// fedRound writes for a while. The sample's server is Redis.
func fedRound(ctx context.Context, e *env, d *daemon, load *crowdLoad) (round.Sample, error) {
	before, err := cpu(e.redis.PID())
	if err != nil {
		return round.Sample{}, err
	}
	daemon, err := cpu(d.PID())
	if err != nil {
		return round.Sample{}, err
	}
	begin := time.Now()
	writes, err := load.run(ctx, begin.Add(e.span(time.Second)))
	if err != nil {
		return round.Sample{}, err
	}
	took := time.Since(begin)
	after, err := cpu(e.redis.PID())
	if err != nil {
		return round.Sample{}, err
	}
	daemonAfter, err := cpu(d.PID())
	n := int(writes)
	return round.Sample{
		Value: perTime(took, n), CPU: perTime(after-before+daemonAfter-daemon, n), Server: perTime(after-before, n),
	}, err
}

func feedLines(t round.Table) []line {
	// A write alone cost Redis 13.5 µs and one of a crowd 9 µs: the feed may add 6 and 4.
	const most = 1.45
	price := func(what, on, off string) line {
		l := served("a write with the feed, against without, "+what+": Redis' processor time", t, on, off, target{atMost: most})
		l.notes = append(l.notes, fmt.Sprintf("%+.1f µs of Redis for a write", t.Server(on).Median-t.Server(off).Median))
		return l
	}
	return []line{
		withoutSides(timed("a write with the feed, against without, one by one: time", t, feedOn, feedOff, target{})),
		price("one by one", feedOn, feedOff),
		withoutSides(timed("a write with the feed, against without, 64 connections: time", t, feedOnCrowd, feedOffCrowd, target{})),
		price("64 connections", feedOnCrowd, feedOffCrowd),
		timed("a write with the feed, against without, no Redis: time", t, feedOnAlone, feedOffAlone, target{atMost: 1.05}),
	}
}
