package testenv

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// MissingError says that a program or a file which a server needs is not installed.
type MissingError struct {
	Name    string // the program or file
	Package string // the Debian package of the program
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is not installed: it is in the Debian package %s; `make deps` installs it", e.Name, e.Package)
}

// program finds the first of the named programs. Debian keeps servers in /usr/sbin, which is not on every user's PATH.
func program(pkg string, names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		for _, dir := range []string{"/usr/sbin", "/usr/local/sbin"} {
			if path := filepath.Join(dir, name); executable(path) {
				return path, nil
			}
		}
	}
	return "", &MissingError{Name: strings.Join(names, " or "), Package: pkg}
}

func executable(path string) bool {
	info, err := os.Stat(path) //nolint:gosec // the path is from the tests, or from the developer's environment
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

func asRoot() bool { return os.Geteuid() == 0 }

// Command returns the path of a program that a test runs once, of the Debian package of that name.
func Command(t testing.TB, name, pkg string) string {
	t.Helper()
	path, err := program(pkg, name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
