package chaos

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// resources are the resources of a daemon's process.
type resources struct {
	goroutines, descriptors int
	bytes                   int64 // of memory, resident
}

// How far above its baseline a daemon may stay: pools keep some connections with their goroutines for later, and Go keeps
// used memory, several times as much with the race detector. A leak for each fault or call is far more.
const (
	moreGoroutines  = 40
	moreDescriptors = 40
	moreBytes       = 192 << 20
)

// warmUp lets daemons do a little of everything, then records their resources.
func (s *site) warmUp(t *testing.T) {
	t.Helper()
	for _, h := range s.hosts {
		for n := range int64(20) {
			c, err := protocol.Dial(t.Context(), h.socket)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Get(t.Context(), s.firstCold()+coldTickets+n); err == nil {
				t.Fatal("there is a ticket that nobody has made")
			}
			_ = c.Close()
		}
		if err := h.settled(t.Context(), throughAll); err != nil {
			t.Fatalf("before the first fault, daemon %d: %v", h.number, err)
		}
		h.before = h.holds(t)
	}
}

// rested demands that the daemons hold no more than at the beginning, within a time in which idle connections are closed.
func (s *site) rested(t *testing.T) {
	t.Helper()
	for _, h := range s.hosts {
		var now resources
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		err := testenv.Until(ctx, func() error {
			now = h.holds(t)
			if now.goroutines > h.before.goroutines+moreGoroutines || now.descriptors > h.before.descriptors+moreDescriptors ||
				now.bytes > h.before.bytes+moreBytes {
				return fmt.Errorf("daemon %d holds %v, at the beginning %v", h.number, now, h.before)
			}
			return nil
		})
		cancel()
		if err != nil {
			t.Errorf("resources: %v", err)
		}
		t.Logf("daemon %d: before %v, after %v", h.number, h.before, now)
	}
}

func (r resources) String() string {
	return fmt.Sprintf("%d goroutines, %d descriptors, %d MiB", r.goroutines, r.descriptors, r.bytes>>20)
}

var goroutines = regexp.MustCompile(`(?m)^go_goroutines (\d+)$`)

// holds asks metrics and kernel.
func (h *host) holds(t *testing.T) resources {
	t.Helper()
	found := goroutines.FindStringSubmatch(h.scrape(t, "/metrics"))
	if found == nil {
		t.Fatal("no go_goroutines in the metrics")
	}
	r := resources{}
	r.goroutines, _ = strconv.Atoi(found[1])
	process := filepath.Join("/proc", strconv.Itoa(h.PID()))
	entries, err := os.ReadDir(filepath.Join(process, "fd"))
	if err != nil {
		t.Fatal(err)
	}
	r.descriptors = len(entries)
	statm, err := os.ReadFile(filepath.Join(process, "statm"))
	if err != nil {
		t.Fatal(err)
	}
	pages, err := strconv.ParseInt(strings.Fields(string(statm))[1], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	r.bytes = pages * int64(os.Getpagesize())
	return r
}

// scrape gets a page of the daemon's metrics listener.
func (h *host) scrape(t *testing.T, path string) string {
	t.Helper()
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", h.metrics)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://ticketd"+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
