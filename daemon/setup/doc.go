// Package setup writes a first configuration for `ticketd init`: the package reads a WordPress' wp-config.php, looks for a
// Redis, and checks the findings against the servers before the file goes into place. After any failure no file has been
// written or replaced.
package setup
