package testenv

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"testing"
)

// WordPressWorker is a PHP process that answers each line of its standard input with a line.
type WordPressWorker struct {
	cmd    *exec.Cmd
	stdin  io.WriteCloser
	stdout *bufio.Reader
	stderr bytes.Buffer
}

// NewWorker starts a script with WordPress' folder as its first argument, and ends the process with the test.
func (w *WordPress) NewWorker(t testing.TB, script string) *WordPressWorker {
	t.Helper()
	worker, err := w.startWorker(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := worker.stop(); err != nil {
			t.Error(err)
		}
	})
	return worker
}

func (w *WordPress) startWorker(ctx context.Context, script string) (*WordPressWorker, error) {
	path, err := program("php-cli", "php")
	if err != nil {
		return nil, err
	}
	worker := &WordPressWorker{cmd: exec.CommandContext(context.WithoutCancel(ctx), path, "-c", w.PHPFPM.INI(), script, w.root)}
	worker.cmd.Stderr = &worker.stderr
	if worker.stdin, err = worker.cmd.StdinPipe(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	stdout, err := worker.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	worker.stdout = bufio.NewReaderSize(stdout, 1<<20)
	if err := worker.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a worker: %w", err)
	}
	return worker, nil
}

// Ask sends a line and returns the answer.
func (w *WordPressWorker) Ask(line []byte) ([]byte, error) {
	if _, err := w.stdin.Write(append(line, '\n')); err != nil {
		return nil, fmt.Errorf("asking a worker: %w\n%s", err, w.stderr.String())
	}
	answer, err := w.stdout.ReadBytes('\n')
	if err != nil {
		return answer, fmt.Errorf("a worker's answer: %w\n%s%s", err, answer, w.stderr.String())
	}
	return bytes.TrimSuffix(answer, []byte("\n")), nil
}

// stop closes the standard input and waits for the end.
func (w *WordPressWorker) stop() error {
	err := w.stdin.Close()
	if waited := w.cmd.Wait(); waited != nil {
		err = errors.Join(err, fmt.Errorf("a worker: %w\n%s", waited, w.stderr.String()))
	}
	return err
}
