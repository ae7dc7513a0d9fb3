package main

import (
	"context"
	"errors"
	"net"
	"strconv"

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

// transport is a way to reach Redis, the same for all sides of a line: the rival must not be slower only because it
// took the other.
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
