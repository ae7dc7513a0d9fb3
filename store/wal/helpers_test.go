package wal

import (
	"context"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
)

// contents opens a log, returns its records and closes it.
func contents(t *testing.T, dir string, o Options) ([]string, Report) {
	t.Helper()
	l, got, report := open(t, dir, o)
	closeLog(t, l)
	return got, report
}

func open(t *testing.T, dir string, o Options) (*Log, []string, Report) {
	t.Helper()
	var got []string
	last := Position{}
	l, report, err := Open(dir, o, func(at Position, record []byte) error {
		if !last.Less(at) {
			t.Errorf("record at %v after one at %v", at, last)
		}
		last = at
		got = append(got, string(record))
		return nil
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	if int64(len(got)) != report.Records {
		t.Errorf("replayed %d records, reported %d", len(got), report.Records)
	}
	return l, got, report
}

func closeLog(t *testing.T, l *Log) {
	t.Helper()
	if err := l.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func appendAll(t *testing.T, l *Log, records ...string) Position {
	t.Helper()
	payloads := make([][]byte, len(records))
	for i, r := range records {
		payloads[i] = []byte(r)
	}
	at, err := l.Append(payloads...)
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	return at
}

func commit(t *testing.T, l *Log, at Position) {
	t.Helper()
	if err := l.Commit(context.WithoutCancel(t.Context()), at); err != nil {
		t.Fatalf("Commit: %v", err)
	}
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("records %q, want %q", got, want)
	}
}

// random makes n records of 1 to most bytes, some of them of zeros, which are most like what is not there.
func random(r *rand.Rand, n, most int) []string {
	records := make([]string, n)
	for i := range records {
		b := make([]byte, 1+r.IntN(most))
		if r.IntN(4) > 0 {
			for j := range b {
				b[j] = byte(r.Uint32())
			}
		}
		records[i] = string(b)
	}
	return records
}

// lastSegment returns the path and contents of a folder's last segment.
func lastSegment(t *testing.T, dir string) (string, []byte) {
	t.Helper()
	numbers, err := list(dir)
	if err != nil || len(numbers) == 0 {
		t.Fatalf("no segments: %v", err)
	}
	path := segmentPath(dir, numbers[len(numbers)-1])
	return path, readFile(t, path)
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}
