// Package doctor looks at everything that ticketd needs on a host and says of each thing whether it is well, why, and what to
// do. It changes no data (where the tickets table has an AUTO_INCREMENT key, it uses up one id), needs no running daemon, and
// shows no secret. Run as root it sees what the daemon's user may and may not do; as another user it says what it could not see.
package doctor
