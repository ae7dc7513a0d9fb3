package chaos

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/chaos/skew"
	"github.com/ticketd/ticketd/internal/testenv"
)

// host is a daemon with the host's own socket, journal, spool, clock, and ways to Redis and to MariaDB.
type host struct {
	*testenv.Ticketd

	number         int
	dir            string
	socket         string
	metrics        string // socket
	journal, spool string // each on its own disk, if the test may mount a disk
	clock          *os.File
	redis, mysql   *toxiproxy.Proxy // redis is nil without a way that could be cut.
	before         resources
}

// diskBytes is the size of a host's disks.
const diskBytes = 64 << 20

// newHost starts the daemon of a host.
func newHost(t *testing.T, s *site, number int) *host {
	t.Helper()
	dir := testenv.Folder(t)
	h := &host{
		number: number, dir: dir, socket: filepath.Join(dir, "d.sock"), metrics: filepath.Join(dir, "m.sock"),
		journal: disk(t), spool: filepath.Join(disk(t), "spool"), clock: newClock(t, filepath.Join(dir, "clock")),
		mysql: newProxy(t, fmt.Sprintf("mysql %d", number), s.mariadb.Addr()),
	}
	if s.single != nil {
		h.redis = newProxy(t, fmt.Sprintf("redis %d", number), s.single.Addr())
	}
	h.Ticketd = testenv.NewTicketdOf(t, ticketdBinary(t), testenv.TicketdOptions{
		Config: h.config(s, h.redisAddr(), s.dsn(h.mysql.Listen)), Env: h.env(),
	})
	return h
}

// redisAddr is where the host's way to a Redis begins that stands alone.
func (h *host) redisAddr() string {
	if h.redis == nil {
		return ""
	}
	return h.redis.Listen
}

// env gives the host's daemons the host's clock.
func (h *host) env() []string { return []string{skew.Env + "=" + h.clock.Name()} }

// config is that of a daemon with the host's folders.
func (h *host) config(s *site, redis, dsn string) string {
	place := s.place
	if redis != "" {
		place = fmt.Sprintf(place, redis)
	}
	// Leases, pauses and times to live are short, so that many of them end in a run. Between hosts, clean copies tell a late
	// create, and a change of a ticket that another host deleted, what has happened meanwhile.
	ttl := "2s"
	if s.topology.hosts > 1 {
		ttl = "1h"
	}
	return fmt.Sprintf(`[daemon]
socket = %q
state_dir = %q
spool_dir = %q
shutdown_timeout = "3s"
%s[journal]
dir = %q
[metrics]
listen = %q
pprof = true
[sites.main]
%slinger = "20ms"
lease = "1s"
clean_ttl = %q
id_block = 50
%s`, h.socket, h.dir, h.spool, place, filepath.Join(h.journal, "journal"), "unix://"+h.metrics, s.shape(dsn), ttl, feedConfig)
}

// mayMount says whether the test may make disks that can be filled.
func mayMount() bool { return os.Geteuid() == 0 }

func disk(t *testing.T) string {
	t.Helper()
	if mayMount() {
		return testenv.SmallDisk(t, diskBytes)
	}
	return testenv.Folder(t)
}

// newClock makes the file that says how far a daemon's clock is ahead.
func newClock(t *testing.T, path string) *os.File {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	if err := setClock(file, 0); err != nil {
		t.Fatal(err)
	}
	return file
}

func setClock(file *os.File, seconds int) error {
	_, err := file.WriteAt(binary.LittleEndian.AppendUint64(nil, uint64(int64(seconds))), 0)
	return err
}

// newProxy starts a proxy before a TCP server for a test.
func newProxy(t *testing.T, name, target string) *toxiproxy.Proxy {
	t.Helper()
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	proxy := toxiproxy.NewProxy(server, name, "127.0.0.1:0", target)
	if err := proxy.Start(); err != nil {
		t.Fatalf("starting the proxy %s: %v", name, err)
	}
	t.Cleanup(proxy.Stop)
	return proxy
}
