package testenv

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// galeraLibrary is Galera's, as the Debian package galera-4 installs it.
const galeraLibrary = "/usr/lib/galera/libgalera_smm.so"

// Galera is a cluster of three MariaDB servers, any of which takes writes, behind haproxy, which leads to the first that answers.
type Galera struct {
	Nodes []*MariaDB
	proxy *haproxy
}

// NewGalera starts a cluster and haproxy for a test, and ends them with the test. NewGalera skips the test where Galera or
// haproxy is missing; the variable TICKETD_TEST_HAPROXY may name haproxy's path.
func NewGalera(t testing.TB) *Galera {
	t.Helper()
	if _, err := os.Stat(galeraLibrary); err != nil || IsMySQL() {
		t.Skipf("Galera is in MariaDB's Debian package galera-4: %v", err)
	}
	path := os.Getenv("TICKETD_TEST_HAPROXY")
	if path == "" {
		var err error
		if path, err = program("haproxy", "haproxy"); err != nil {
			t.Skip(err)
		}
	}
	const size = 3
	g := &Galera{}
	first := ""
	for range size {
		bus, err := freePort(t.Context(), true)
		if err != nil {
			t.Fatal(err)
		}
		port, err := freePort(t.Context(), false)
		if err != nil {
			t.Fatal(err)
		}
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(bus))
		args := []string{
			"--wsrep-on=ON", "--wsrep-provider=" + galeraLibrary, "--binlog-format=ROW", "--innodb-autoinc-lock-mode=2",
			"--wsrep-cluster-address=gcomm://" + first, "--wsrep-node-address=" + address,
			// The only way to a first copy of the data that works as root without further packages.
			"--wsrep-sst-method=mysqldump", "--wsrep-sst-auth=root:", "--port=" + strconv.Itoa(port),
			"--wsrep-sst-receive-address=" + net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
			"--skip-networking=OFF", "--bind-address=127.0.0.1", "--skip-name-resolve",
			"--wsrep-provider-options=gmcast.listen_addr=tcp://" + address + ";ist.recv_addr=127.0.0.1:" + strconv.Itoa(bus+busAbove) +
				";gcache.size=8M;evs.keepalive_period=PT0.2S;evs.suspect_timeout=PT1S;evs.inactive_check_period=PT0.2S;" +
				"evs.inactive_timeout=PT2S;evs.install_timeout=PT2S",
		}
		if first == "" {
			first, args = address, append(args, "--wsrep-new-cluster")
		}
		node := NewMariaDB(t, MariaDBOptions{Args: args})
		node.port = port
		g.Nodes = append(g.Nodes, node)
		node.awaitSynced(t)
	}
	g.proxy = newServer(t, "haproxy", func(ctx context.Context, dir string) (*haproxy, error) {
		return startHAProxy(ctx, dir, path, g.Nodes)
	})
	return g
}

// awaitSynced waits until the node has the cluster's data.
func (m *MariaDB) awaitSynced(t testing.TB) {
	t.Helper()
	db, err := sql.Open("mysql", m.DSN(""))
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, startTimeout, "the node is in step with the cluster", func() bool {
		var name, value string
		err := db.QueryRowContext(t.Context(), "SHOW STATUS LIKE 'wsrep_ready'").Scan(&name, &value)
		return err == nil && value == "ON"
	})
	if err := db.Close(); err != nil { // before a test kills the node
		t.Fatal(err)
	}
}

// Addr is haproxy's address.
func (g *Galera) Addr() string { return g.proxy.addr }

// haproxy is a proxy before several servers.
type haproxy struct {
	process

	addr string
}

// startHAProxy leads to the first server that answers. When a server goes away, its connections are closed.
func startHAProxy(ctx context.Context, dir, path string, servers []*MariaDB) (*haproxy, error) {
	port, err := freePort(ctx, false)
	if err != nil {
		return nil, err
	}
	h := &haproxy{addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}
	var config strings.Builder
	fmt.Fprintf(&config, "defaults\n  mode tcp\n  timeout connect 1s\n  timeout client 1m\n  timeout server 1m\nlisten mysql\n"+
		"  bind %s\n  option tcp-check\n  default-server check inter 300ms fall 2 rise 2 on-marked-down shutdown-sessions\n", h.addr)
	for i, s := range servers {
		backup := " backup"
		if i == 0 {
			backup = ""
		}
		fmt.Fprintf(&config, "  server node%d %s%s\n", i+1, s.Addr(), backup)
	}
	file := filepath.Join(dir, "haproxy.cfg")
	if err := writeFile(file, config.String()); err != nil {
		return nil, err
	}
	h.command = command{
		name: "haproxy", path: path, args: []string{"-db", "-f", file}, dir: dir, orphan: syscall.SIGKILL,
		ready: func(ctx context.Context) error {
			var d net.Dialer
			conn, err := d.DialContext(ctx, "tcp", h.addr)
			return errors.Join(err, closeIf(conn))
		},
	}
	if err := h.start(ctx); err != nil {
		return nil, err
	}
	return h, nil
}

func closeIf(conn net.Conn) error {
	if conn == nil {
		return nil
	}
	return conn.Close()
}
