// Package e2e holds the tests of whole sites: real Redis, MariaDB, PHP-FPM, nginx and WordPress, with the real ticketd binary
// between them. The package has only tests.
package e2e
