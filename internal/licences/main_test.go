package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const program = "github.com/ticketd/ticketd/cmd/ticketd"

// Every module that Go writes into the program has its licence in the text.
func TestEveryModuleOfTheProgram(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := run([]string{program}, &text); err != nil {
		t.Fatal(err)
	}
	list, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f",
		"{{with .Module}}{{if not (or .Main .Replace)}}{{.Path}} {{.Version}}{{end}}{{end}}", program).Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for line := range strings.Lines(string(list)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		seen++
		if !strings.Contains(text.String(), rule+"\n"+line+"\n"+rule) {
			t.Errorf("%s is missing", line)
		}
	}
	for _, want := range []string{
		"Apache License", "Redistribution and use in source", "Permission is hereby granted",
		"version 3 or later",
	} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	if seen < 30 {
		t.Errorf("only %d packages of modules", seen)
	}
}

// A module whose authors give no licence must not be packaged.
func TestModuleWithoutLicence(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"NOTICE", "license.go", "README.md"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := write(new(bytes.Buffer), []module{{Path: "example.com/x", Dir: dir}}); err == nil ||
		!strings.Contains(err.Error(), "example.com/x: no licence") {
		t.Errorf("error %v", err)
	}
}
