// Package daemon is the side of ticketd that clients meet: the Unix socket, the peer credentials, the connection loop and the
// way of a request to its site.
//
//	socket ──accept──> connection ──frame──> request ──Dispatcher──> Sites.For(peer, name) ──> Site
//
// One goroutine serves one connection and executes each request itself: a hand-over to another goroutine and back would cost
// a third of the round trip. The daemon therefore answers the requests of a connection in their order.
//
// # What happens on failure
//
// A bad frame closes the connection, after a reply with the reason. A bad request gets an error reply and the connection
// stays open. A panic during a request is answered internal and logged with its stack; other requests go on. A client that
// drips, idles or does not read exceeds a deadline, and the daemon closes the connection.
//
// # Stopping
//
//  1. The listener stops accepting. If the daemon bound the socket itself, the daemon unlinks the file and accepts the clients in
//     its queue; if systemd holds the socket, the queue stays for the next daemon.
//  2. Connected clients get a short grace for the request that they are about to send.
//  3. The daemon shuts the reading side of every connection: a client's next write fails at once instead of hanging. Each request
//     sent before is still read and answered.
//  4. At the deadline the daemon cuts the remaining connections.
package daemon
