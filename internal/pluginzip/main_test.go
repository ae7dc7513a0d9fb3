package main

import (
	"archive/zip"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The plugin itself can be packed, under its own folder, and packing twice gives the same bytes.
func TestPackThePlugin(t *testing.T) {
	t.Parallel()
	var first, second bytes.Buffer
	dir := filepath.Join("..", "..", "php-client", "ticketd")
	if err := pack(dir, &first); err != nil {
		t.Fatal(err)
	}
	if err := pack(dir, &second); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the same files made two different zips")
	}
	read, err := zip.NewReader(bytes.NewReader(first.Bytes()), int64(first.Len()))
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(read.File))
	for _, file := range read.File {
		names = append(names, file.Name)
	}
	for _, name := range []string{"ticketd.php", "readme.txt", "uninstall.php", "languages/ticketd.pot"} {
		if !slices.Contains(names, "ticketd/"+name) {
			t.Errorf("%s is missing among %q", name, names)
		}
	}
}

// WordPress installs the zip from where it lies, as the web server's user.
func TestTheWebServerCanReadTheZip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "dist", "ticketd.zip")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil { // of an earlier make
		t.Fatal(err)
	}
	if err := run([]string{filepath.Join("..", "..", "php-client", "ticketd"), path}); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the zip's mode is %v (%v), want 0644", info.Mode(), err)
	}
}

// Every forbidden file is named, and then no zip is made.
func TestForbiddenFilesAreNamed(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "plugin")
	if err := os.MkdirAll(filepath.Join(dir, "src"), 0o750); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"plugin.php": "<?php", "src/.hidden.php": "<?php", "build.sh": "true", "a.phar": "", "a.zip": "",
		"src/blob.php": "\x00", "latin.txt": "\xfc",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("plugin.php", filepath.Join(dir, "link.php")); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(t.TempDir(), "plugin.zip")
	err := run([]string{dir, target})
	if err == nil {
		t.Fatal("forbidden files were packed")
	}
	for _, name := range []string{"src/.hidden.php", "build.sh", "a.phar", "a.zip", "src/blob.php", "latin.txt", "link.php"} {
		if !strings.Contains(err.Error(), name) {
			t.Errorf("%s is not named in: %v", name, err)
		}
	}
	if strings.Contains(err.Error(), "\nplugin.php") {
		t.Errorf("a good file is named: %v", err)
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("there is a zip all the same")
	}
}
