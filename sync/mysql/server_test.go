package mysql_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/sync/mysql"
)

// host is a server with databases of their own users, and the connections that ticketd makes to the server.
type host struct {
	servers *mysql.Servers
	shared  *testenv.MariaDB
	admin   *sql.DB
	name    string // begins the names of databases and users
}

func newHost(t *testing.T, size int) *host {
	t.Helper()
	shared, name := testenv.SharedMariaDB(t)
	return &host{servers: mysql.NewServers(size), shared: shared, admin: shared.DB(t, name), name: name + "_"}
}

// site makes a database with a table, for the user of the given name.
func (h *host) site(t *testing.T, database, user string) *mysql.DB {
	t.Helper()
	database, user = h.name+database, h.name+user
	for _, statement := range []string{
		"CREATE DATABASE " + database, "CREATE USER IF NOT EXISTS " + user + "@localhost",
		"GRANT ALL ON " + database + ".* TO " + user + "@localhost",
	} {
		run(t, h.admin, statement)
	}
	t.Cleanup(func() { _, _ = h.admin.ExecContext(context.Background(), "DROP USER IF EXISTS "+user+"@localhost") })
	db, err := h.servers.Open(mysql.Config{DSN: strings.Replace(h.shared.DSN(database), "root@", user+"@", 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// connections counts the connections of the host's users.
func (h *host) connections(t *testing.T) (n int) {
	t.Helper()
	err := h.admin.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM information_schema.processlist WHERE user LIKE ?",
		strings.ReplaceAll(h.name, "_", `\_`)+"%").Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *host) wantConnections(t *testing.T, want int) {
	t.Helper()
	testenv.Eventually(t, 10*time.Second, fmt.Sprintf("%d connections", want), func() bool { return h.connections(t) == want })
}

// hold takes a connection of the database.
func hold(t *testing.T, db *mysql.DB) *sql.Conn {
	t.Helper()
	conn, err := db.Pool().Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return conn
}

// Twenty sites of two users need no more connections than the pool's size, each statement runs in its own site's database, and
// unused connections are closed. With a pool for each site the server sees 20 connections, which stay.
func TestSitesShareTheServersConnections(t *testing.T) {
	t.Parallel()
	const sites, size = 20, 4
	h := newHost(t, size)
	databases := make([]*mysql.DB, sites)
	for i := range databases {
		databases[i] = h.site(t, fmt.Sprint("site", i), fmt.Sprint("user", i%2))
	}
	var busy sync.WaitGroup
	for i, db := range databases {
		for range 3 {
			busy.Go(func() {
				var database string
				var all int
				err := db.Pool().QueryRowContext(t.Context(), "SELECT DATABASE(), (SELECT COUNT(*) FROM information_schema.processlist)").
					Scan(&database, &all) // all is the user's, as no site may see others'
				if want := fmt.Sprint(h.name, "site", i); err != nil || database != want || all > size {
					t.Errorf("%s has %d connections and is in %s, %v", want, all, database, err)
				}
			})
		}
	}
	busy.Wait()
	if n := h.connections(t); n < 1 || n > size {
		t.Errorf("%d connections, the pool's size is %d", n, size)
	}
	databases[0].CloseUnused(time.Now().Add(time.Minute))
	h.wantConnections(t, 0)
}

// While a pool is full, further calls wait in order. A call whose time ends first names the key, and takes nobody's turn.
func TestAFullPoolIsWaitedFor(t *testing.T) {
	t.Parallel()
	h := newHost(t, 2)
	one, two, three, four := h.site(t, "one", "a"), h.site(t, "two", "a"), h.site(t, "three", "b"), h.site(t, "four", "a")
	first, second := hold(t, one), hold(t, two)
	ctx, cancel := context.WithCancel(t.Context())
	order := make(chan string, 2)
	var calls sync.WaitGroup
	call := func(ctx context.Context, name string, db *mysql.DB) {
		waiting := db.Waiting()
		calls.Go(func() {
			err := db.Ping(ctx)
			if errors.Is(err, context.Canceled) && strings.Contains(err.Error(), "mysql.max_connections") {
				name += " gave up"
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			order <- name
		})
		testenv.Eventually(t, 10*time.Second, name+" waits", func() bool { return db.Waiting() == waiting+1 })
	}
	call(ctx, "three", three)
	call(t.Context(), "four", four)
	cancel()
	testenv.Eventually(t, 10*time.Second, "three gives up", func() bool { return four.Waiting() == 1 })
	_ = first.Close()
	calls.Wait()
	if got := <-order + ", " + <-order; got != "three gave up, four" {
		t.Errorf("%s", got)
	}
	if err := three.Ping(t.Context()); err != nil { // another user: the unused connection makes room
		t.Error(err)
	}
	h.wantConnections(t, 2)
	_ = second.Close()
}

// A site whose statements hang leaves the other sites half of the connections.
func TestASlowSiteLeavesConnections(t *testing.T) {
	t.Parallel()
	h := newHost(t, 4)
	slow, other := h.site(t, "slow", "a"), h.site(t, "other", "a")
	held := []*sql.Conn{hold(t, slow), hold(t, slow)}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error)
	go func() {
		_, err := slow.Pool().Conn(ctx)
		cancelled <- err
	}()
	if err := other.Ping(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-cancelled; !errors.Is(err, context.Canceled) {
		t.Errorf("the slow site has a third connection: %v", err)
	}
	for _, conn := range held {
		_ = conn.Close()
	}
}

// Sites that lease ids of AUTO_INCREMENT tables need two connections each, and do not wait for each other in the smallest pool.
// Without turns the leases hold all connections and wait until their time ends.
func TestLeasesDoNotWaitForEachOther(t *testing.T) {
	t.Parallel()
	h := newHost(t, 2)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var sites []*mysql.DB
	for i := range 4 {
		db := h.site(t, fmt.Sprint("site", i), "a")
		exec(t, db, "CREATE TABLE wp_support_tickets (ticket_id BIGINT AUTO_INCREMENT PRIMARY KEY)")
		migrate(t, db, mysql.MigrateOptions{})
		sites = append(sites, db)
	}
	var leases sync.WaitGroup
	for _, db := range sites {
		for range 4 {
			leases.Go(func() {
				if _, err := mysql.NewSequence(db).Lease(ctx, 10); err != nil {
					t.Error(err)
				}
			})
		}
	}
	leases.Wait()
}

// A database that is gone, or that a user may not use, is no fault of the connection: other databases use it on.
func TestADatabaseThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHost(t, 2)
	gone, there := h.site(t, "gone", "a"), h.site(t, "there", "a")
	if err := errors.Join(gone.Ping(t.Context()), there.Ping(t.Context())); err != nil {
		t.Fatal(err)
	}
	run(t, h.admin, "DROP DATABASE "+h.name+"gone")
	if _, err := gone.LoadDefinition(t.Context()); err == nil || !strings.Contains(err.Error(), "1049") {
		t.Errorf("%v, want error 1049", err)
	}
	if err := there.Ping(t.Context()); err != nil || h.connections(t) != 1 {
		t.Errorf("%v, %d connections, want 1", err, h.connections(t))
	}
}
