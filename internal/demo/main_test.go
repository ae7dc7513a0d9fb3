package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// starter makes the test program start a process as `demo up` does, and end.
const starter = "TICKETD_TEST_STARTER"

func TestMain(m *testing.M) {
	if log := os.Getenv(starter); log != "" {
		holder := exec.CommandContext(context.Background(), "sh", "-c", "echo $$; echo early >&2; echo ready; exec sleep 600")
		if err := detach(context.Background(), holder, log); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// `make demo-up 2>&1 | tail` ends although the site runs on: its process keeps neither output of the command open.
func TestWhatUpStartsHoldsNoOutput(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	log := filepath.Join(t.TempDir(), "cache", "demo.log")
	up := exec.CommandContext(ctx, os.Args[0])
	up.Env = append(os.Environ(), starter+"="+log)
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	up.Stdout, up.Stderr = write, write
	if err := up.Run(); err != nil {
		t.Fatal(err)
	}
	_ = write.Close()
	_ = read.SetReadDeadline(time.Now().Add(10 * time.Second))
	output, err := io.ReadAll(read) // until the last writer has closed
	pid, parsed := strconv.Atoi(strings.TrimSpace(string(output)))
	if parsed == nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if err != nil || parsed != nil {
		t.Errorf("output %q, error %v; want the process's number and the end", output, err)
	}
	if said, err := os.ReadFile(log); err != nil || string(said) != "early\n" {
		t.Errorf("the log has %q (%v)", said, err)
	}
}
