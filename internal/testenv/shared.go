package testenv

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startTimeout bounds the start of one server for a test. It is generous, as many test processes start servers at once.
const startTimeout = 60 * time.Second

// stopper is every server.
type stopper interface {
	Stop() error
	Kill()
	Log() string
}

// newServer starts a server in a folder of its own and ends both with the test. A test that failed shows the server's
// log.
func newServer[S stopper](t testing.TB, name string, start func(ctx context.Context, dir string) (S, error)) S {
	t.Helper()
	dir := Folder(t)
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	server, err := start(ctx, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		server.Kill() // nobody needs its data any more
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, server.Log())
		}
	})
	return server
}

// shared is one server for all tests of the process, started by the first that asks.
type shared[S stopper] struct {
	name  string
	begin func(ctx context.Context, dir string) (S, error)

	once   sync.Once
	server S
	err    error
	up     atomic.Bool
	serial atomic.Int64 // counts the tests that use it
}

var (
	sharedRedis = shared[*Redis]{name: "redis", begin: func(ctx context.Context, dir string) (*Redis, error) {
		return StartRedis(ctx, dir, RedisOptions{})
	}}
	sharedMariaDB = shared[*MariaDB]{name: "mariadb", begin: func(ctx context.Context, dir string) (*MariaDB, error) {
		return StartMariaDB(ctx, dir, MariaDBOptions{})
	}}
)

// SharedRedis returns the Redis of this test process and a key prefix that no other test has. Who calls it has [Main]
// as TestMain, and neither kills, pauses nor empties the server.
func SharedRedis(t testing.TB) (server *Redis, prefix string) {
	t.Helper()
	server, n := sharedRedis.get(t)
	return server, fmt.Sprintf("t%d:", n)
}

// SharedMariaDB returns the MariaDB of this test process and the name of a fresh, empty database. Who calls it has
// [Main] as TestMain, and neither kills nor pauses the server.
func SharedMariaDB(t testing.TB) (server *MariaDB, database string) {
	t.Helper()
	server, n := sharedMariaDB.get(t)
	database = fmt.Sprintf("t%d", n)
	if err := server.CreateDatabase(t.Context(), database); err != nil {
		t.Fatal(err)
	}
	return server, database
}

func (s *shared[S]) get(t testing.TB) (server S, serial int64) {
	t.Helper()
	s.once.Do(func() {
		var dir string
		if dir, s.err = newFolder(s.name); s.err != nil {
			return
		}
		// Not the first test's context: the server outlives it.
		ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
		defer cancel()
		s.server, s.err = s.begin(ctx, dir)
		s.up.Store(s.err == nil)
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.server, s.serial.Add(1)
}

// end kills the server where a test has started it: its data is of no use to anybody.
func (s *shared[S]) end() {
	if s.up.Load() {
		s.server.Kill()
	}
}
