// Command pluginzip makes the zip of the WordPress plugin that WordPress installs, the same bytes for the same files.
//
// Forbidden files are refused: hidden files, scripts, archives, programs, and all files that are neither text nor pictures.
// Usage: pluginzip FOLDER ZIP.
package main

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "pluginzip:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return errors.New("usage: pluginzip FOLDER ZIP")
	}
	var packed bytes.Buffer
	if err := pack(args[0], &packed); err != nil {
		return err
	}
	// Where the zip goes is for the caller to say.
	if err := os.MkdirAll(filepath.Dir(args[1]), 0o755); err != nil { //nolint:gosec // see above
		return err
	}
	if err := os.WriteFile(args[1], packed.Bytes(), readable); err != nil { //nolint:gosec // see above
		return err
	}
	return os.Chmod(args[1], readable) //nolint:gosec // see above; whatever the umask is, and for a zip that was there
}

// readable lets the web server read the zip, which WordPress installs from where it lies.
const readable = 0o644

// made is the time of every file in the zip, so that the same files make the same zip.
var made = time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)

// allowed are the endings of files that a plugin consists of.
var allowed = []string{".css", ".js", ".json", ".md", ".mo", ".php", ".png", ".po", ".pot", ".sql", ".svg", ".txt"}

// binary are the allowed extensions of files that are not text.
var binary = []string{".mo", ".png"}

// pack writes a folder's files into a zip, under the folder's name, and names every forbidden file.
func pack(dir string, to io.Writer) error {
	var refused []error
	archive := zip.NewWriter(to)
	root := os.DirFS(dir)
	err := fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == "." {
			return err
		}
		if reason := refusal(root, path, entry); reason != "" {
			refused = append(refused, fmt.Errorf("%s: %s", path, reason))
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		content, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: filepath.Base(dir) + "/" + path, Method: zip.Deflate, Modified: made}
		header.SetMode(0o644)
		file, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		_, err = file.Write(content)
		return err
	})
	return errors.Join(err, errors.Join(refused...), archive.Close())
}

// refusal says why a file must not be in the zip; empty for an allowed file.
func refusal(root fs.FS, path string, entry fs.DirEntry) string {
	name := entry.Name()
	switch ending := strings.ToLower(filepath.Ext(name)); {
	case strings.HasPrefix(name, "."):
		return "hidden files are forbidden"
	case entry.IsDir():
		return ""
	case !entry.Type().IsRegular():
		return "not a regular file"
	case !slices.Contains(allowed, ending):
		return "files of this kind are forbidden"
	case slices.Contains(binary, ending):
		return ""
	}
	content, err := fs.ReadFile(root, path)
	if err != nil {
		return err.Error()
	}
	if !utf8.Valid(content) || bytes.IndexByte(content, 0) >= 0 {
		return "not a text in UTF-8"
	}
	return ""
}
