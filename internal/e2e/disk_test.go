package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// fillDisk fills a folder's file system and returns the function that frees the room.
func fillDisk(t *testing.T, dir string) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{64 << 10, 4 << 10, 1} { // to the last byte
		block := make([]byte, size)
		for err == nil {
			_, err = file.Write(block)
		}
		err = nil
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
}

// fillUp sets a ticket until the journal is full, and returns the last acknowledged value. The last part of a page has room
// for small changes when it has no room for larger changes.
func fillUp(t *testing.T, c *protocol.Client, id int64) string {
	t.Helper()
	acknowledged := ""
	for _, size := range []int{200, 20, 1} {
		for n := 0; ; n++ {
			if n == 100_000 {
				t.Fatal("the disk never became full")
			}
			value := strings.Repeat(strconv.Itoa(n%10), size)
			_, err := c.Set(t.Context(), set(id, "subject", value))
			if code(err) == protocol.CodeOverloaded {
				break
			}
			if err != nil {
				t.Fatalf("on a full disk: %v, want overloaded", err)
			}
			acknowledged = value
		}
	}
	return acknowledged
}

// The journal's disk is full: the answer is overloaded and status says why; no acknowledged change is lost, and with room
// again the same daemon goes on.
func TestJournalOnAFullDisk(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]rigOptions{
		"WithRedis":    {redis: testenv.NewRedis(t, durable)},
		"WithoutRedis": {noRedis: true, site: never},
	} {
		disk := testenv.SmallDisk(t, 1<<20)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.journal = fmt.Sprintf("dir = %q", filepath.Join(disk, "journal"))
			r := newRig(t, o)
			c := r.dial(t)
			mustSet(t, c, 1, "subject", "before")
			if o.redis != nil {
				o.redis.Kill()
			}
			empty := fillDisk(t, disk)
			acknowledged := fillUp(t, c, 2)
			status, err := c.Status(t.Context())
			if err != nil || !strings.Contains(strings.Join(status.Warnings, "\n"), "journal is full") {
				t.Errorf("warnings %q (%v)", status.Warnings, err)
			}
			empty()
			mustSet(t, c, 3, "subject", "after")
			if o.redis != nil {
				if err := o.redis.Restart(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			settled(t, r)
			for id, want := range map[int64]string{1: "before", 2: acknowledged, 3: "after"} {
				if got := column(t, r.db, "subject", id); got != want && (id != 2 || want != "") {
					t.Errorf("ticket %d: subject %.20q in MySQL, want %.20q", id, got, want)
				}
			}
		})
	}
}

// Through WordPress: a change that a full journal refuses is spooled; with the spool full, too, the caller gets a clear
// error.
func TestPHPOnAFullDisk(t *testing.T) {
	t.Parallel()
	disk := testenv.SmallDisk(t, 1<<20)
	s := testenv.NewStack(t, testenv.StackOptions{
		NoRedis: true, State: disk, Site: never, MustUse: openToVisitors, Debug: true,
	})
	c, err := protocol.Dial(t.Context(), s.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.Set(t.Context(), set(7, "subject", "made")); err != nil {
		t.Fatal(err)
	}
	change := func(value string) (int, map[string]any) {
		return rest(t, s, http.MethodPatch, "/tickets/7", map[string]any{"fields": map[string]any{"subject": value}})
	}
	if status, reply := change("before"); status != http.StatusOK {
		t.Fatalf("%d %v", status, reply)
	}
	empty := fillDisk(t, disk)
	fillUp(t, c, 8)
	status, reply := change("on a full disk")
	if message, _ := reply["message"].(string); status != http.StatusServiceUnavailable || message == "" {
		t.Errorf("with journal and spool full: %d %v, want 503 with a message", status, reply)
	}
	empty()
	if status, reply := change("after"); status != http.StatusOK && status != http.StatusAccepted {
		t.Errorf("with room again: %d %v", status, reply)
	}
	db := s.MariaDB.DB(t, testenv.StackDatabase)
	arrived(t, s)
	testenv.Eventually(t, 10*time.Second, "the change is in MySQL", func() bool {
		return column(t, db, "subject", 7) == "after"
	})
	noNotices(t, s)
}
