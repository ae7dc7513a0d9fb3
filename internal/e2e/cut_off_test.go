package e2e

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Two hosts are cut off from Redis and change the same tickets. Afterwards each ticket has the last value that one of the two
// hosts acknowledged: the journals keep the order of each host, and arrive in any order. The log says how many tickets have the
// value of the host that wrote first, and by how much it is older: the figures of docs/galera.md.
func TestHostsCutOffFromRedis(t *testing.T) {
	t.Parallel()
	const tickets, writes = 500, 3000
	server := testenv.NewRedis(t, durable)
	r := newRig(t, rigOptions{redis: server, site: "linger = \"20ms\""})
	here, there := r.dial(t), r.second(t).dial(t)
	hosts := []*protocol.Client{here, there}
	server.Kill()
	var last [2][tickets + 1]int64
	for range writes {
		id, host := 1+rand.Int64N(tickets), rand.IntN(len(hosts))
		value := time.Now().UnixMicro()
		mustSet(t, hosts[host], id, "assigned_to", strconv.FormatInt(value, 10))
		last[host][id] = value
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, time.Minute, "both journals are replayed", func() bool {
		return waiting(t, here) == 0 && waiting(t, there) == 0
	})
	for _, c := range hosts {
		if _, err := c.Flush(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	var both, older int
	var oldest time.Duration
	for id := range int64(tickets + 1) {
		a, b := last[0][id], last[1][id]
		if a == 0 && b == 0 {
			continue
		}
		got, err := strconv.ParseInt(column(t, r.db, "assigned_to", id), 10, 64)
		if err != nil || got != a && got != b {
			t.Errorf("ticket %d is %d (%v), the hosts acknowledged %d and %d last", id, got, err, a, b)
		}
		if a != 0 && b != 0 {
			both++
		}
		if newest := max(a, b); got < newest {
			older++
			oldest = max(oldest, time.Duration(newest-got)*time.Microsecond)
		}
	}
	t.Logf("%d tickets were changed on both hosts; %d of them have the older value, by %v at most", both, older,
		oldest.Round(time.Millisecond))
}
