package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store/redis"
)

// The ways to a Redis: each is taken by a daemon that writes a ticket, which is then found where it must be. No secret is in
// the log.
func TestWaysToRedis(t *testing.T) {
	t.Parallel()
	const secret, user = "hunter2 \"quoted\"", "tickets"
	acl := []string{ // no more than the daemon needs
		fmt.Sprintf("user %s on +@all -@dangerous +info ~ticket:* ~ticketd:probe >%s", user, "hunter2-acl"),
		"user default on nopass -@all +info", // for the test's question whether the server is ready
	}
	for _, c := range []struct {
		name   string
		server testenv.RedisOptions
		// place is the TOML of [redis], and env the environment, for a server, its certificates and a folder.
		place func(r *testenv.Redis, certs *testenv.Certificates, dir string) (toml string, env []string)
		look  goredis.Options // how the test looks at it
	}{
		{"TCP with a password in the environment", testenv.RedisOptions{TCP: true, Password: secret},
			func(r *testenv.Redis, _ *testenv.Certificates, _ string) (string, []string) {
				return fmt.Sprintf("[redis]\naddr = %q\n", r.Addr()), []string{"TICKETD_REDIS_PASSWORD=" + secret}
			}, goredis.Options{Password: secret}},
		{"socket with a password in a file, database 7", testenv.RedisOptions{Password: secret},
			func(r *testenv.Redis, _ *testenv.Certificates, dir string) (string, []string) {
				file := filepath.Join(dir, "password")
				writeFile(t, file, secret+"\n")
				return fmt.Sprintf("[redis]\naddr = %q\npassword_file = %q\ndb = 7\n", "unix://"+r.Socket(), file), nil
			}, goredis.Options{Password: secret, DB: 7}},
		{"ACL with a password in a systemd credential", testenv.RedisOptions{Config: acl},
			func(r *testenv.Redis, _ *testenv.Certificates, dir string) (string, []string) {
				writeFile(t, filepath.Join(dir, "redis"), "hunter2-acl")
				return fmt.Sprintf("[redis]\naddr = %q\nusername = %q\npassword_file = \"credential:redis\"\n",
					"unix://"+r.Socket(), user), []string{"CREDENTIALS_DIRECTORY=" + dir}
			}, goredis.Options{Username: user, Password: "hunter2-acl"}},
		{"TLS with an own CA and a client certificate",
			testenv.RedisOptions{Password: secret, Certificates: testenv.NewCertificates(t)},
			func(r *testenv.Redis, certs *testenv.Certificates, _ string) (string, []string) {
				return fmt.Sprintf("[redis]\naddr = %q\npassword = %q\ntls = true\ntls_ca = %q\ntls_cert = %q\ntls_key = %q\n",
					strings.Replace(r.Addr(), "127.0.0.1", "localhost", 1), secret, certs.CA, certs.ClientCert, certs.ClientKey), nil
			}, goredis.Options{Password: secret}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			server := testenv.NewRedis(t, c.server)
			place, env := c.place(server, c.server.Certificates, testenv.Folder(t))
			r := newRig(t, rigOptions{place: place, env: env})
			client := r.dial(t)
			accepted(t, client)
			testenv.Eventually(t, 20*time.Second, "the ticket is in Redis", func() bool { // at once, unless this machine is very busy
				status, err := client.Status(t.Context())
				return err == nil && status.Store.State == protocol.StateUp && status.Journal.Entries == 0
			})
			look := c.look
			look.Network, look.Addr = "unix", server.Socket()
			direct := goredis.NewClient(&look)
			defer func() { _ = direct.Close() }()
			if got, err := direct.HGet(t.Context(), "ticket:1", "status").Result(); err != nil || got != "open" {
				t.Errorf("Redis holds %q (%v)", got, err)
			}
			if strings.Contains(r.Log(), "hunter2") {
				t.Errorf("the log shows a secret:\n%s", r.Log())
			}
		})
	}
}

// accepted makes a change, as soon as the daemon has read the table's definition.
func accepted(t *testing.T, c *protocol.Client) {
	t.Helper()
	testenv.Eventually(t, 20*time.Second, "a change is accepted", func() bool {
		_, err := c.Set(t.Context(), set(1, "status", "open"))
		return err == nil
	})
}

// What is wrong with the way to Redis is a reason in status, and the journal takes the changes; the daemon does not end.
func TestWrongWaysToRedis(t *testing.T) {
	t.Parallel()
	certs, others := testenv.NewCertificates(t), testenv.NewCertificates(t)
	secured := testenv.NewRedis(t, testenv.RedisOptions{Certificates: certs})
	locked := testenv.NewRedis(t, testenv.RedisOptions{TCP: true, Password: "hunter2"})
	secure := fmt.Sprintf("[redis]\naddr = %q\ntls = true\n", secured.Addr())
	for _, c := range []struct{ name, place, reason string }{
		{"another CA", secure + fmt.Sprintf("tls_ca = %q\ntls_cert = %q\ntls_key = %q\n", others.CA, certs.ClientCert, certs.ClientKey),
			"certificate signed by unknown authority"},
		{"no client certificate", secure + fmt.Sprintf("tls_ca = %q\n", certs.CA), "certificate required"},
		{"another name", secure + fmt.Sprintf("tls_ca = %q\ntls_cert = %q\ntls_key = %q\ntls_server_name = \"elsewhere\"\n", certs.CA,
			certs.ClientCert, certs.ClientKey), "not elsewhere"},
		{"no TLS there", fmt.Sprintf("[redis]\naddr = %q\ntls = true\n", locked.Addr()), "deadline exceeded"},
		{"wrong password", fmt.Sprintf("[redis]\naddr = %q\npassword = \"hunter3\"\n", locked.Addr()), "WRONGPASS"},
		{"no such sentinel", "[redis]\nsentinels = [\"127.0.0.1:1\"]\nmaster_name = \"tickets\"\n", "sentinels"},
		{"no such cluster", "[redis]\ncluster = [\"127.0.0.1:1\"]\n", "refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{place: c.place})
			client := r.dial(t)
			accepted(t, client)
			status, err := client.Status(t.Context())
			if err != nil || status.Store.State != protocol.StateDown || !strings.Contains(status.Store.Reason, c.reason) {
				t.Errorf("store %+v (%v), want it down because of %q", status.Store, err, c.reason)
			}
			if strings.Contains(r.Log(), "hunter") {
				t.Errorf("the log shows a secret:\n%s", r.Log())
			}
		})
	}
}

// Sentinels that ask for a password of their own, before Redis servers that ask for another one.
func TestSentinelsWithPasswords(t *testing.T) {
	t.Parallel()
	s := testenv.NewSentinels(t, testenv.SentinelOptions{Redis: testenv.RedisOptions{Password: "hunter2"}, Password: "hunter3"})
	r := newRig(t, rigOptions{place: fmt.Sprintf("[redis]\nsentinels = [%s]\nmaster_name = %q\npassword = \"hunter2\"\n"+
		"sentinel_password = \"hunter3\"\n", quoted(s.SentinelAddrs()), testenv.SentinelMaster)})
	c := r.dial(t)
	if _, err := c.Set(t.Context(), set(1, "status", "open")); err != nil {
		t.Fatal(err)
	}
	status, err := c.Status(t.Context())
	if err != nil || status.Store.State != protocol.StateUp || status.Journal.Entries != 0 {
		t.Errorf("status %+v, journal %+v (%v)", status.Store, status.Journal, err)
	}
	if strings.Contains(r.Log(), "hunter") {
		t.Errorf("the log shows a secret:\n%s", r.Log())
	}
}

// A third of a cluster is away for good, its replica too: the journal takes the changes of its tickets, and everything else of
// the others goes on, what only Redis can decide included. When it is back, all is in MySQL. With one lane for all partitions
// the conditional changes fail (tried).
func TestPartOfAClusterIsAway(t *testing.T) {
	t.Parallel()
	cluster := testenv.NewCluster(t, testenv.RedisOptions{
		Config: []string{"cluster-require-full-coverage no", "appendonly yes", "appendfsync always"},
	})
	r := newRig(t, rigOptions{place: fmt.Sprintf("[redis]\ncluster = [%s]\n", quoted(cluster.Addrs()))})
	c := r.dial(t)
	direct := cluster.Client(t)
	const tickets = 32 // one in each partition
	for id := int64(1); id <= tickets; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "open")); err != nil {
			t.Fatal(err)
		}
	}
	if err := direct.ForEachMaster(t.Context(), func(ctx context.Context, master *goredis.Client) error { // the replicas are in step
		return master.Wait(ctx, 1, 5*time.Second).Err()
	}); err != nil {
		t.Fatal(err)
	}
	victim := cluster.Masters(t.Context())[0]
	lost := make(map[int64]bool)
	for id := int64(1); id <= tickets; id++ {
		master, err := direct.MasterForKey(t.Context(), redis.HashTag(int(id%tickets)))
		if err != nil {
			t.Fatal(err)
		}
		lost[id] = master.Options().Addr == victim.Addr()
	}
	replica := cluster.ReplicaOf(t.Context(), victim)
	replica.Kill()
	victim.Kill()

	begin, away := time.Now(), 0
	for id := int64(1); id <= tickets; id++ {
		if _, err := c.Set(t.Context(), set(id, "status", "pending")); err != nil {
			t.Errorf("ticket %d (away: %v): %v", id, lost[id], err)
		}
		if lost[id] {
			away++
		}
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("%d changes took %v", tickets, took)
	}
	status, err := c.Status(t.Context())
	if err != nil || status.Store.State != protocol.StateDown || status.Journal.Entries != int64(away) ||
		away == 0 || away == tickets {
		t.Errorf("%+v, journal %+v (%v), want %d changes in the journal", status.Store, status.Journal, err, away)
	}
	for id := int64(1); id <= tickets; id++ {
		ticket, err := c.Get(t.Context(), id)
		if err != nil || field(ticket.Fields, "status").Text() != "pending" || ticket.Stale != lost[id] {
			t.Errorf("ticket %d (away: %v): %+v (%v)", id, lost[id], ticket, err)
			continue
		}
		conditional := set(id, "category", "billing")
		conditional.IfRevision = ticket.Revision
		if _, err := c.Set(t.Context(), conditional); (code(err) == protocol.CodeUnavailable) != lost[id] {
			t.Errorf("conditional change of ticket %d (away: %v): %v", id, lost[id], err)
		}
	}
	for _, node := range []*testenv.Redis{victim, replica} {
		if err := node.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	testenv.Eventually(t, 30*time.Second, "the journal is empty", func() bool {
		status, err := c.Status(t.Context())
		return err == nil && status.Journal.Entries == 0 && status.Store.State == protocol.StateUp
	})
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	for id := int64(1); id <= tickets; id++ {
		if got := column(t, r.db, "status", id); got != "pending" {
			t.Errorf("ticket %d has status %q in MySQL", id, got)
		}
	}
}
