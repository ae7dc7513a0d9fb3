package testenv

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"
)

// askAgain is how often a condition is looked at that nothing signals.
const askAgain = 5 * time.Millisecond

// Until asks again and again until holds is content or ctx ends, and returns what holds said last.
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

// Eventually fails the test where the condition does not come to hold within the time: for what cannot be signalled.
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

// Buffer is a log that may be read while it is written.
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
