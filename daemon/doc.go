// Package daemon is the side of ticketd that clients meet: the Unix socket, who is at its other end, the connection
// loop and the way of a request to its site.
//
//	socket ──accept──> connection ──frame──> request ──Dispatcher──> Sites.For(peer, name) ──> Site
//
// One goroutine serves one connection and does the whole of each request itself: handing it to another goroutine and
// back would cost a third of the round trip. Requests of one connection are therefore answered in their order.
//
// # What happens on failure
//
// What is wrong with a frame closes the connection, after a reply that says why; what is wrong with a request is
// answered and costs the client nothing else. A panic while a request is worked on is answered internal, logged with
// its stack, and concerns nobody else. A client that drips, idles or does not read runs into a deadline and is closed.
//
// # Stopping
//
// The listener stops accepting first; a socket that the daemon bound itself is unlinked and what is already in its
// queue is accepted, a socket that systemd holds keeps its queue for the next daemon. Clients that have just connected
// get a moment to send what they are about to. Then the reading side of every connection is shut, which a client's
// next write meets as an error, never as silence; every request that was sent before is still read and answered. What
// is not done by the deadline is cut.
package daemon
