package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	called = regexp.MustCompile("(?:^ {4}(?:sudo )?(?:-u ticketd |[A-Z_]+=[^ ]+ )?|&& |`)" +
		"ticketd ([a-z][a-z-]*(?: " +
		"[a-z]+){0,2})((?: [^`#|&]*)?)")
	longFlag     = regexp.MustCompile(`--[a-z-]+`)
	markdownLink = regexp.MustCompile(`\]\(([^)#:]+)?(#[^)]+)?\)`)
)

// pages are the pages for people, by path relative to this folder.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	for _, path := range append(files, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all[path] = string(text)
	}
	return all
}

// Every command and flag that the pages tell people to type exists.
func TestPagesNameCommandsThatExist(t *testing.T) {
	t.Parallel()
	root, seen := newRoot(streams{}), 0
	for path, text := range pages(t) {
		for line := range strings.Lines(text) {
			for _, m := range called.FindAllStringSubmatch(line, -1) {
				command, _, err := root.Find(strings.Fields(m[1]))
				if err != nil || command == root {
					t.Errorf("%s: there is no ticketd %s", path, m[1])
					continue
				}
				seen++
				for _, flag := range longFlag.FindAllString(m[2], -1) {
					if name := flag[2:]; command.Flags().Lookup(name) == nil && root.PersistentFlags().Lookup(name) == nil {
						t.Errorf("%s: %s has no %s", path, command.CommandPath(), flag)
					}
				}
			}
		}
	}
	if seen < 30 {
		t.Errorf("only %d commands were found in the pages", seen)
	}
}

// Every link within the project leads to a file, and every linked heading exists.
func TestPagesLinkToWhatExists(t *testing.T) {
	t.Parallel()
	for path, text := range pages(t) {
		for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
			target := path
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(path), m[1])
			}
			linked, err := os.ReadFile(target)
			if errors.Is(err, fs.ErrNotExist) {
				t.Errorf("%s: %s leads nowhere", path, m[0])
			}
			if m[2] != "" && !hasHeading(string(linked), m[2][1:]) {
				t.Errorf("%s: %s has no such heading", path, m[0])
			}
		}
	}
}

// punctuation is what an anchor drops from a heading.
var punctuation = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

func hasHeading(text, anchor string) bool {
	for line := range strings.Lines(text) {
		title, is := strings.CutPrefix(line, "#")
		title = strings.ToLower(strings.TrimSpace(strings.TrimLeft(title, "#")))
		if is && strings.ReplaceAll(punctuation.ReplaceAllString(title, ""), " ", "-") == anchor {
			return true
		}
	}
	return false
}

// A word that is no command is an error, at every level: a script must not take help for success.
func TestUnknownCommandsFail(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"pendign"}, {"journal", "pendign"}, {"dead", "lits"}} {
		root := newRoot(streams{})
		root.SetArgs(args)
		root.SetOut(io.Discard)
		root.SetErr(io.Discard)
		if err := root.ExecuteContext(t.Context()); err == nil {
			t.Errorf("ticketd %s is no error", strings.Join(args, " "))
		}
	}
}
