package journal

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
)

// The environment that makes this test's binary a writer: its folder and sync mode.
const (
	writerDir  = "TICKETD_TEST_JOURNAL"
	writerSync = "TICKETD_TEST_SYNC"
)

const (
	writers = 4
	each    = 20 // tickets of each writer
)

// runWriter writes to a journal and flushes from it until it is killed. It says on standard output what was acknowledged
// ("a ticket value"), after it was, and what was flushed ("f ticket value"), before that is acked.
func runWriter() {
	dir := os.Getenv(writerDir)
	s, _, err := Open(context.Background(), dir, Options{Sync: wal.Sync(os.Getenv(writerSync)), MaxBytes: 256 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.Start(context.Background())
	start := time.Now().UnixMicro()
	for w := range writers {
		go func() {
			for n := start; ; n++ {
				id := ticket.ID(1 + w*each + int(n)%each)
				m := store.Mutation{
					Kind: store.Set, ID: id, Proposed: ticket.Revision(time.Now().UnixMicro()), Due: time.Now(),
					Fields:    ticket.Fields{{Name: "n", Value: ticket.Text(strconv.FormatInt(n, 10))}},
					RequestID: strconv.FormatInt(n*writers+int64(w), 10), Remember: time.Second,
				}
				if _, err := store.Make(context.Background(), s, m); err == nil {
					fmt.Printf("a %d %d\n", id, n)
				}
			}
		}()
	}
	for {
		claims, _ := s.Claim(context.Background(), time.Now(), 50, time.Minute)
		for i := range claims {
			n, _ := claims[i].Fields.Get("n")
			fmt.Printf("f %d %s\n", claims[i].ID, n.Text())
			_ = s.Ack(context.Background(), []store.Receipt{{ID: claims[i].ID, Revision: claims[i].Revision}})
		}
		time.Sleep(time.Millisecond)
	}
}

// Writers, a flusher and the cleaning are killed at any moment: each acknowledged write is in the journal or was flushed,
// unless a later one of its ticket is. (With the record of a mutation written after the acknowledgement this fails.)
func TestKilledAtRandom(t *testing.T) {
	t.Parallel()
	rounds := 6
	if text := os.Getenv("TICKETD_TEST_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	for _, mode := range []wal.Sync{wal.Always, wal.Interval} {
		t.Run(string(mode), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			acknowledged, flushed := map[ticket.ID]int64{}, map[ticket.ID]int64{}
			lines := 0
			for range rounds {
				lines += killedWriter(t, dir, mode, 50+rand.IntN(3000), acknowledged, flushed)
				checkSurvived(t, dir, acknowledged, flushed)
			}
			t.Logf("%d rounds, %d acknowledgements and flushes", rounds, lines)
		})
	}
}

// killedWriter kills a writer after it has said so many lines, and notes what it said.
func killedWriter(t *testing.T, dir string, mode wal.Sync, lines int, acknowledged, flushed map[ticket.ID]int64) int {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), writerDir+"="+dir, writerSync+"="+string(mode))
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var kill sync.Once
	said := 0
	for scanner := bufio.NewScanner(out); scanner.Scan(); said++ {
		var what string
		var id ticket.ID
		var n int64
		if _, err := fmt.Sscanf(scanner.Text(), "%s %d %d", &what, &id, &n); err != nil {
			break // the last line may be torn
		}
		seen := acknowledged
		if what == "f" {
			seen = flushed
		}
		seen[id] = max(seen[id], n)
		if said >= lines {
			kill.Do(func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait()
	if said < lines {
		t.Fatalf("the writer ended by itself after %d lines: %s", said, complaint.String())
	}
	return said
}

func checkSurvived(t *testing.T, dir string, acknowledged, flushed map[ticket.ID]int64) {
	t.Helper()
	s, report, err := Open(t.Context(), dir, Options{Sync: wal.Never, MaxBytes: 256 << 10})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	for id, n := range acknowledged {
		records, err := s.Get(t.Context(), []ticket.ID{id})
		if err != nil {
			t.Fatal(err)
		}
		v, _ := records[0].Fields.Get("n")
		have, _ := strconv.ParseInt(v.Text(), 10, 64)
		if max(have, flushed[id]) < n {
			t.Errorf("ticket %d: %d was acknowledged, %d waits, %d was flushed (%+v)", id, n, have, flushed[id], report)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
