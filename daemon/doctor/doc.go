// Package doctor checks every dependency of ticketd on a host. Each finding has a verdict, a reason and a remedy. The checks
// change no data (if the tickets table has an AUTO_INCREMENT key, they use up an id), need no running daemon, and show no
// secret. As root, doctor sees the rights of the daemon's user; as another user, doctor names the checks that were
// impossible.
package doctor
