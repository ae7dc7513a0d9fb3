package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/bench/round"
)

// farRedis is one write in a PHP request where Redis' replies come a millisecond later.
func farRedis(ctx context.Context, e *env) (lines []line, err error) {
	proxy := toxiproxy.NewProxy(toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop()), "redis",
		"127.0.0.1:0", e.redis.Addr())
	if err := proxy.Start(); err != nil {
		return nil, fmt.Errorf("starting the proxy: %w", err)
	}
	defer proxy.Stop()
	slow := strings.NewReader(`{"type": "latency", "stream": "downstream", "attributes": {"latency": 1}}`)
	if _, err := proxy.Toxics.AddToxicJson(slow); err != nil {
		return nil, fmt.Errorf("slowing the proxy down: %w", err)
	}
	d, err := e.startDaemon(ctx, "far", proxy.Listen, "")
	if err != nil {
		return nil, err
	}
	journal, err := e.startDaemon(ctx, "farearly", proxy.Listen, early)
	if err != nil {
		return nil, err
	}
	host, text, err := net.SplitHostPort(proxy.Listen)
	if err != nil {
		return nil, err
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		return nil, err
	}
	w, err := e.startPHP(ctx, phpPlaces{redis: host, port: port, daemons: map[string]*daemon{
		wayTicketd: d, wayJournal: journal,
	}})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stop()) }()
	const rounds, times = 20, 50
	table, err := round.Run(ctx, rounds,
		w.side(guide, "one", "guide", times),
		w.side(ticketd, "one", wayTicketd, times),
		w.side(journaled, "one", wayJournal, times),
		w.side("phpredis pconnect", "one", "pconnect", times),
		w.side("phpredis, held", "one", "held", times),
	)
	if err != nil {
		return nil, err
	}
	// The daemons go before the proxy does, with nothing left to flush.
	return []line{
		timed("one write with 1 ms of latency to Redis", table, ticketd, guide, target{atMost: 0.45}),
		withoutSides(timed("one write with 1 ms of latency to Redis, ack = journal", table, journaled, guide, target{atMost: 0.05})),
	}, errors.Join(d.Stop(), journal.Stop())
}
