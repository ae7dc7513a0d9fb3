// Package systemdtest holds two tests in booted Debians, each in a container. `make test-systemd` installs, upgrades, kills and
// purges the Debian package beside MariaDB, Redis and PHP. `make test-install` follows docs/install.md word by word. The package
// has only the tests.
package systemdtest
