// Package loop is the front door's event loop: it answers small requests of many clients in rounds, with few system calls and no
// switch between goroutines. A round collects the requests that are ready, has all of them answered in one call, and writes the
// replies.
//
// # What the loop serves
//
// The loop serves a connection as long as each read returns one whole small frame whose request is hot (see [Round]), and the socket
// takes each reply at once. Everything else is handed over, with the descriptor and the unread bytes, to an ordinary
// connection ([Host].Adopt), which keeps it to its end: part of a frame, two frames, a large frame, a slow request, a client that
// does not read. So the loop needs no time-outs for frames and writes, no budgets and no watch for clients that hang up.
//
// # States
//
//	led      one goroutine, the leader, owns the connections and the poller; no other goroutine touches them
//	in a round   the leader waits for [Round].Answer. A monitor looks every [tick]; a round that takes longer is relieved
//	relieved the monitor starts another leader; the old one becomes a flight, which owns its round alone
//	in flight    until the flight lands, the new leader hands every request over, so that a backend that hangs holds up no request
//	         that waits for another one
//	landed   the flight's round is in a list, the new leader is woken and writes its replies
//	stopping the leader accepts what is in the queue (unless the queue is the next daemon's), hands every connection over and ends
//
// # What happens on failure
//
// A round that is never answered leaves the flight and its connections behind; new requests go to ordinary connections. Accept
// that fails (too many open files) shuts the door for [acceptPause]. A poller that fails ends the process: no client could be served.
//
// The poller is epoll in its edge-triggered mode, as a connection that owes a reply is not read. Tokens carry a generation, so that
// an event of a descriptor that was closed and given again meets nobody. See epoll(7), and Libevent's and nginx' instance counters.
package loop
