package testenv

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// The versions of WordPress that tests run on.
const (
	Debian61 = "6.1"    // of Debian's package
	Newest   = "newest" // in TICKETD_TEST_WORDPRESS, or of Debian sid, which wordpress.sh puts into .cache
)

// WordPressSource is [FindWordPress] for a test.
func WordPressSource(t testing.TB, version string) string {
	t.Helper()
	path, err := FindWordPress(version)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// FindWordPress returns the folder of a version of WordPress. The working directory is below the module's root.
func FindWordPress(version string) (string, error) {
	if version == Debian61 {
		const path = "/usr/share/wordpress"
		if _, err := os.Stat(filepath.Join(path, "wp-load.php")); err != nil {
			return "", &MissingError{Name: path, Package: "wordpress"}
		}
		return path, nil
	}
	path := os.Getenv("TICKETD_TEST_WORDPRESS")
	if path == "" {
		root, err := moduleRoot()
		if err != nil {
			return "", err
		}
		path = filepath.Join(root, ".cache", "wordpress-sid")
	}
	// Who runs the tests may name any folder.
	if _, err := os.Stat(filepath.Join(path, "wp-load.php")); err != nil { //nolint:gosec // see above
		return "", fmt.Errorf("there is no WordPress in %s: `make newest` brings Debian sid's, "+
			"TICKETD_TEST_WORDPRESS names another: %w", path, err)
	}
	return path, nil
}

// moduleRoot is the folder of go.mod: the working directory or a parent.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("looking for the module's root: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod above the working directory")
		}
		dir = parent
	}
}
