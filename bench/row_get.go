package main

import (
	"context"

	"github.com/ticketd/ticketd/bench/round"
)

// get is a PHP request that reads a ticket which Redis holds.
func get(ctx context.Context, e *env) ([]line, error) {
	const rounds, times = 20, 200
	return e.eachTransport(ctx, rounds, func(w *phpWorker) ([]round.Side, error) {
		for _, way := range []string{"guide", wayTicketd, wayAlone, "mysqli-held"} {
			const tickets = 1000 // as many as php/ways.php uses: each is there, and whole, when it is read
			for _, task := range []string{"one", "get"} {
				if _, err := w.run(task, way, tickets); err != nil {
					return nil, err
				}
			}
		}
		return []round.Side{
			w.side(guide, "get", "guide", times),
			w.side(ticketd, "get", wayTicketd, times),
			w.side(withoutRedis, "get", wayAlone, times),
			w.side("phpredis pconnect", "get", "pconnect", times),
			w.side("phpredis, held", "get", "held", times),
			w.side("mysqli select, held", "get", "mysqli-held", times),
		}, nil
	}, func(at string, t round.Table) []line {
		return []line{timed("get of a ticket that Redis holds, "+at, t, ticketd, guide, target{atMost: 0.6})}
	})
}
