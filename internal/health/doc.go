// Package health knows the state of a backend server that many callers share: one state machine per server, not one per caller.
//
//	unknown ──a connection──> up        unknown ──no connection──> down
//	up ──no connection──> down          up ──a statement without an answer──> the prober connects, which decides
//	down ──a trial connects──> up       down ──the trial fails──> down
//
// While a server is down, [Server.Enter] rejects connections at once, except for a trial from time to time (half-open): the
// first caller after a pause is the trial, and without callers the prober is. A server that goes away again soon after its
// recovery stays down for a growing time ([Damping]). An idle server is asked every [Options.Idle], so that its state is true
// while no client asks.
//
// The log has one line when the server goes away, with the number of sites, and one line when the server is back. The lines of
// the sites that use the server are about their own faults alone.
//
// sony/gobreaker, the field's breaker for Go, was considered: it has no unknown state, no damping, and no trial without a caller,
// so an idle server's state would stay as the last caller left it.
package health
