// Package testenv starts the real servers around ticketd (Redis, MariaDB, PHP-FPM, nginx, WordPress, and ticketd), each
// private: in its own folder, on a Unix socket in that folder, without touching other servers of the machine.
//
// # Two ways in
//
// Tests call the functions with a [testing.TB]: [SharedRedis] and [SharedMariaDB] for one server per test process, which
// every test uses under its own key prefix or database; NewX for a server that a test may kill, pause or fill up. TestMain
// calls [Main], which stops the shared servers and then looks for leaked goroutines. Programs, such as the demo, call StartX
// with a context and a folder, and Stop at the end.
//
// # Life of a server
//
//	StartX ──> running ──Pause──> stopped by signal ──Resume──> running
//	             │ ^
//	   Stop/Kill │ │ Restart (same data, same socket, same port)
//	             v │
//	            ended
//
// The context bounds the start, not the life. A start returns when the server answers its own protocol. A start fails with
// the end of the server's log if the process ends or the context ends.
//
// # What happens on failure
//
// Each server leads a process group that is killed as soon as the leader has ended, and the kernel ends the leader when the
// starting program dies in any way. A missing server program is a [MissingError], which names the Debian package.
package testenv
