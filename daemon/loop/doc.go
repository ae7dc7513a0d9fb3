// Package loop is the front door's event loop: the loop answers small requests of many clients in rounds, with few system calls
// and no switch between goroutines. A round collects the requests that are ready, answers all requests in a single call, and
// writes the replies.
//
// # What the loop serves
//
// The loop serves a connection as long as each read returns a single whole small frame with a hot request (see [Round]), and as
// long as the socket takes each reply at once. The loop hands every other connection over to an ordinary connection
// ([Host].Adopt), with the descriptor and the unread bytes: part of a frame, two frames, a large frame, a slow request, a client
// that does not read. After some hot requests in a row the ordinary connection gives the client back ([Loop.Return]): a client
// that keeps its connection for hours would otherwise stay where one slow moment has put it. The loop therefore needs no
// time-outs for frames and writes, no budgets and no check for clients that hang up.
//
// Which requests are hot is decided in four places: the frame is whole and small (isWhole), the method has a hot form
// (daemon/methods.go), the site's batch takes the request (daemon/site/hot.go), and the store alone could answer (Answer.Left).
//
// # States
//
//	leading    a single goroutine, the leader, owns the connections and the poller
//	in a round the leader waits for [Round].Answer; a monitor looks every [tick]
//	in flight  a round took longer than a tick: the monitor has started a new leader, and the goroutine owns only the round.
//	           The new leader has rounds of its own; with [maxFlights] rounds in flight no backend answers, and the leader
//	           hands every request over, so no request waits behind a round
//	landed     the round is answered: the goroutine has woken the new leader, which writes the replies
//	stopping   the leader accepts the clients in the queue (unless the queue is the next daemon's), hands every connection over
//	           and ends
//
// # What happens on failure
//
// A round without an end leaves the round's goroutine and connections behind; new requests go to ordinary connections. A failed
// accept (too many open files) shuts the door for [acceptPause]. A failed poller ends the process, which could serve no client.
//
// The poller is epoll in edge-triggered mode, because a connection that owes a reply is not read. A token names a slot and the
// slot's generation, so an event of a closed descriptor meets no later connection in the same slot; see epoll(7) and nginx'
// instance bit.
package loop
