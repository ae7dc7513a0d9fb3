// Package setup writes a first configuration for `ticketd init`: it reads a WordPress' wp-config.php, looks for a Redis, and
// checks what it has found against the servers before it puts the file in place. Whatever fails, no file is written and none is
// replaced.
package setup
