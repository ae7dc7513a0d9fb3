// Package systemdtest holds the test of the Debian package in a booted systemd: a Debian root in a container, with MariaDB,
// Redis and PHP, where the test installs, upgrades, kills and purges the package. The package has only the test, and `make
// test-systemd` runs the test.
package systemdtest
