package testenv

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// startTimeout bounds the start of a server for a test. The bound is generous, as many test processes start servers at once.
const startTimeout = 60 * time.Second

// stopper is every server.
type stopper interface {
	Stop() error
	Kill()
	Log() string
}

// newServer starts a server in a new folder and ends and removes both with the test. A failed test shows the server's log.
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
		server.Kill() // the data is no longer needed
		if t.Failed() {
			t.Logf("log of %s:\n%s", name, server.Log())
		}
	})
	return server
}

// shared is a server for all tests of the process, started by the first test that needs the server.
type shared[S stopper] struct {
	name  string
	begin func(ctx context.Context, dir string) (S, error)

	once   sync.Once
	server S
	err    error
	up     atomic.Bool
	serial atomic.Int64 // counts the tests with the server
}

var (
	sharedRedis = shared[*Redis]{name: "redis", begin: func(ctx context.Context, dir string) (*Redis, error) {
		return StartRedis(ctx, dir, RedisOptions{})
	}}
	sharedMariaDB = shared[*MariaDB]{name: "mariadb", begin: func(ctx context.Context, dir string) (*MariaDB, error) {
		return StartMariaDB(ctx, dir, MariaDBOptions{})
	}}
)

// SharedRedis returns the Redis of this test process and a unique key prefix. The package must have [Main] as TestMain, and
// the test must not kill, pause or empty the server.
func SharedRedis(t testing.TB) (server *Redis, prefix string) {
	t.Helper()
	server, n := sharedRedis.get(t)
	return server, fmt.Sprintf("t%d:", n)
}

// SharedMariaDB returns the MariaDB of this test process and the name of a fresh, empty database. The package must have
// [Main] as TestMain, and the test must not kill or pause the server.
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
		// Not the first test's context: the server outlives the test.
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

// end kills the server if a test has started it: the data is no longer needed.
func (s *shared[S]) end() {
	if s.up.Load() {
		s.server.Kill()
	}
}
