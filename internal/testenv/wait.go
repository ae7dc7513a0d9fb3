package testenv

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// askAgain is the interval of checks for a condition without a signal.
const askAgain = 5 * time.Millisecond

// Until calls holds until holds returns nil or ctx ends, and returns the last result of holds.
func Until(ctx context.Context, holds func() error) error {
	ticker := time.NewTicker(askAgain)
	defer ticker.Stop()
	for {
		err := holds()
		if err == nil {
			return nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return err
		}
	}
}

// Eventually fails the test if the condition does not become true within the time: for conditions without a signal.
func Eventually(t testing.TB, within time.Duration, what string, holds func() bool) {
	t.Helper()
	limit, ticker := time.After(within), time.NewTicker(askAgain)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-limit:
			t.Fatalf("not within %v: %s", within, what)
		case <-ticker.C:
		}
	}
}

// Buffer is a log that may be read while a goroutine writes.
type Buffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write implements [io.Writer].
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
