// Package releasetest holds the test of a release: packaging/release.sh in a clone with a tag, and what apt, rpm and minisign say
// of its files. The package has only the test, and `make test-release` runs the test.
package releasetest
