// Package systemdtest holds the test of the Debian package in a booted systemd: a Debian root in a container, with MariaDB, Redis
// and PHP, in which the package is installed, upgraded, killed and purged. There is nothing in it but the test, and
// `make test-systemd` runs it.
package systemdtest
