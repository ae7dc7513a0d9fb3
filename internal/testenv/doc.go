// Package testenv starts the real servers that ticketd lives among (Redis, MariaDB, PHP-FPM, nginx, WordPress, ticketd
// itself), each private: in a folder of its own, on a Unix socket in that folder, touching nothing that the machine
// runs besides.
//
// # Two ways in
//
// Tests call the functions that take a [testing.TB]: [SharedRedis] and [SharedMariaDB] for one server per test
// process, which every test uses under a key prefix or in a database of its own; NewX for a server that a test may
// kill, pause or fill up. TestMain calls [Main], which stops the shared servers and then looks for leaked goroutines.
// Programs, such as the demo, call StartX with a context and a folder and stop what they started.
//
// # Life of a server
//
//	StartX ──> running ──Pause──> stopped by signal ──Resume──> running
//	             │ ^
//	   Stop/Kill │ │ Restart (same data, same socket, same port)
//	             v │
//	            ended
//
// The context bounds the start, not the life. A start returns when the server answers its own protocol, and fails with
// the end of the server's log when the process ends or the context does.
//
// # What happens on failure
//
// Each server leads a process group that is killed as soon as its leader has ended, and the kernel ends the leader
// when the program that started it dies in whatever way. A missing server program is a [MissingError], which names the
// Debian package.
package testenv
