package setup

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	driver "github.com/go-sql-driver/mysql"
	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/sync/mysql"
)

// keysOf returns the place of a site's keys in a configuration.
func keysOf(t *testing.T, c *config.Config, site string) (place [2]any, owner string) {
	t.Helper()
	network, addr := c.Redis.Network()
	client := goredis.NewClient(&goredis.Options{Network: network, Addr: addr, DB: c.Redis.DB})
	defer func() { _ = client.Close() }()
	prefix := c.Sites[site].KeyPrefix
	return [2]any{c.Redis.DB, prefix}, client.HGet(t.Context(), prefix+"ticket:meta", "owner").Val()
}

// Several sites are set up with the same Redis at the same time, before any daemon has written: each gets its own keys. The
// same holds for more sites than databases.
func TestInitsAtTheSameTime(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"databases 3"}})
	const sites = 4
	all := make([]*site, sites)
	places := make([][2]any, sites)
	var runs sync.WaitGroup
	for i := range all {
		all[i] = newSite(t)
		all[i].Redis, all[i].Site = "unix://"+server.Socket(), "shop"+string(rune('a'+i))
		runs.Go(func() {
			c, err := all[i].run(t.Context(), t)
			if err != nil {
				t.Error(err)
				return
			}
			places[i], _ = keysOf(t, c, all[i].Site)
		})
	}
	runs.Wait()
	seen := make(map[[2]any]bool)
	for _, place := range places {
		if seen[place] {
			t.Errorf("two sites have the keys %v", place)
		}
		seen[place] = true
	}
}

// Another host of the same site finds the keys of the first host, however many databases were taken meanwhile, even if an
// earlier version set up the first host.
func TestInitOnAnotherHost(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	for _, former := range []bool{false, true} {
		first := newSite(t)
		first.Redis = "unix://" + server.Socket()
		c, err := first.run(t.Context(), t)
		if err != nil {
			t.Fatal(err)
		}
		place, owner := keysOf(t, c, "main")
		if owner == "" {
			t.Fatal("the keys are not marked")
		}
		if former {
			options := server.Options()
			options.DB = c.Redis.DB
			client := goredis.NewClient(options)
			dsn, _ := driver.ParseDSN(c.Sites["main"].DSN.Reveal())
			if err := client.HSet(t.Context(), "ticket:meta", "owner", dsn.DBName+".shop_support_tickets").Err(); err != nil {
				t.Fatal(err)
			}
			_ = client.Close()
		}
		other := newSite(t)
		other.Redis = first.Redis
		if _, err := other.run(t.Context(), t); err != nil { // another site
			t.Fatal(err)
		}
		second := newSite(t)
		second.Redis, second.wp = first.Redis, first.wp
		again, err := second.run(t.Context(), t)
		if err != nil {
			t.Fatal(err)
		}
		if found, _ := keysOf(t, again, "main"); found != place {
			t.Errorf("the second host has %v, the first %v", found, place)
		}
	}
}

// A site is added to a configuration, and the existing text stays. An existing name is refused, and then no file changes.
func TestInitAddsASite(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{})
	first := newSite(t)
	first.Redis = "unix://" + server.Socket()
	if _, err := first.run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	text, _ := os.ReadFile(first.Config)
	text = append(text, "\n# mine\n[metrics]\nlisten = \"127.0.0.1:9\"\n"...)
	if err := os.WriteFile(first.Config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	added := newSite(t)
	added.Config, added.Site, added.Add = first.Config, "blog", true
	c, err := added.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	now, _ := os.ReadFile(first.Config)
	if !strings.HasPrefix(string(now), strings.TrimRight(string(text), "\n")) || c.Metrics.Listen == "" || len(c.Sites) != 2 {
		t.Errorf("%d sites in\n%s", len(c.Sites), now)
	}
	one, owner := keysOf(t, c, "main")
	other, another := keysOf(t, c, "blog")
	if one == other || owner == "" || another == "" || owner == another {
		t.Errorf("keys %v of %q and %v of %q", one, owner, other, another)
	}
	if _, err := added.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "blog already") {
		t.Errorf("added twice: %v", err)
	}
	missing := newSite(t)
	missing.Site, missing.Add = "blog", true
	if _, err := missing.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "--add") {
		t.Errorf("added to nothing: %v", err)
	}
}

// --force keeps a copy of the replaced file.
func TestInitKeepsWhatItReplaces(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.Force = true
	if err := os.WriteFile(s.Config, []byte("# mine\n[sites.other]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := s.run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	kept, _ := filepath.Glob(s.Config + ".*")
	if len(kept) != 1 {
		t.Fatalf("kept %q", kept)
	}
	text, err := os.ReadFile(kept[0])
	info, _ := os.Stat(kept[0])
	if err != nil || string(text) != "# mine\n[sites.other]\n" || info.Mode().Perm() != 0o640 {
		t.Errorf("kept %q, mode %v, %v", text, info.Mode(), err)
	}
	if !strings.Contains(strings.Join(s.said, "\n"), kept[0]) {
		t.Errorf("said %q", s.said)
	}
}

// A table that names another home is not set up before the operator has decided.
func TestInitOnACopy(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c, err := s.run(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	dsn, _ := driver.ParseDSN(c.Sites["main"].DSN.Reveal())
	mariadb, _ := testenv.SharedMariaDB(t)
	pool := mariadb.DB(t, dsn.DBName)
	var before, after string
	read := func(into *string) {
		if err := pool.QueryRowContext(t.Context(), "SELECT identity FROM shop_support_tickets_identity WHERE id = "+
			"1").Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	leave := func() {
		if _, err := pool.ExecContext(t.Context(), "UPDATE shop_support_tickets_identity SET server = 'elsewhere' WHERE id = "+
			"1"); err != nil {
			t.Fatal(err)
		}
	}
	read(&before)
	leave()
	s.Force = true
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "--copy") {
		t.Fatalf("error %v", err)
	}
	s.Moved = true
	if _, err := s.run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	if read(&after); after != before {
		t.Errorf("moved, it is %s, and was %s", after, before)
	}
	leave()
	s.Moved, s.Copy = false, true
	if _, err := s.run(t.Context(), t); err != nil {
		t.Fatal(err)
	}
	if read(&after); after == before {
		t.Error("the copy has the identity of the original")
	}
	db, err := mysql.Open(mysql.Config{DSN: c.Sites["main"].DSN.Reveal(), Table: "shop_support_tickets"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if identity, err := db.ReadIdentity(t.Context()); err != nil || !identity.AtHome() {
		t.Errorf("%+v, %v", identity, err)
	}
}
