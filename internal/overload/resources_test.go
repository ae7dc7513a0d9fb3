package overload

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// sample is the resources of the daemon at a moment.
type sample struct {
	at time.Duration // since the sampling began
	// rss is the process' resident memory in the kernel's count, which under the race detector is mostly the detector's; goheap
	// is the memory that the Go runtime has taken for the heap and not given back. Both in bytes.
	rss, goheap                     float64
	descriptors, goroutines, client float64
}

// look takes a sample. /proc counts memory and descriptors, the daemon's own metrics the rest.
func (r *rig) look(ctx context.Context) (s sample, err error) {
	pid := r.PID()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return s, err
	}
	for line := range strings.Lines(string(status)) {
		if value, found := strings.CutPrefix(line, "VmRSS:"); found {
			kilobytes, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				return s, err
			}
			s.rss = kilobytes * 1024
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		return s, err
	}
	s.descriptors = float64(len(open))
	metrics, err := r.metrics(ctx)
	if err != nil {
		return s, err
	}
	for _, name := range []string{
		"go_goroutines", "ticketd_connections", "go_memstats_heap_sys_bytes", "go_memstats_heap_released_bytes",
	} {
		if _, there := metrics[name]; !there {
			return s, fmt.Errorf("there is no metric %s", name)
		}
	}
	s.goroutines, s.client = metrics["go_goroutines"], metrics["ticketd_connections"]
	s.goheap = metrics["go_memstats_heap_sys_bytes"] - metrics["go_memstats_heap_released_bytes"]
	return s, nil
}

// metrics scrapes the daemon over a separate connection, which is not a client's.
func (r *rig) metrics(ctx context.Context) (map[string]float64, error) {
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", r.scraped)
	}}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ticketd/metrics", nil)
	if err != nil {
		return nil, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	found := map[string]float64{}
	lines := bufio.NewScanner(io.LimitReader(response.Body, 4*megabyte))
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), " ")
		if number, err := strconv.ParseFloat(value, 64); err == nil {
			found[name] = number
		}
	}
	return found, lines.Err()
}

// now is a sample that must succeed.
func (r *rig) now(t *testing.T) sample {
	t.Helper()
	s, err := r.look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *sample) String() string {
	return fmt.Sprintf("%4.0fs  RSS %6.1f MiB  heap %6.1f MiB  %4.0f descriptors  %4.0f goroutines  %4.0f clients",
		s.at.Seconds(), s.rss/megabyte, s.goheap/megabyte, s.descriptors, s.goroutines, s.client)
}

// watch samples until the returned function is called, which returns the highest of each.
func (r *rig) watch(ctx context.Context, every time.Duration) (highest func() sample) {
	ctx, cancel := context.WithCancel(ctx)
	var most sample
	var group sync.WaitGroup
	group.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-ticker.C:
			}
			if s, err := r.look(ctx); err == nil {
				most = highestOf(most, s)
			}
		}
	})
	return func() sample {
		cancel()
		group.Wait()
		return most
	}
}

func highestOf(a, b sample) sample {
	return sample{
		rss: max(a.rss, b.rss), goheap: max(a.goheap, b.goheap), descriptors: max(a.descriptors, b.descriptors),
		goroutines: max(a.goroutines, b.goroutines), client: max(a.client, b.client),
	}
}
