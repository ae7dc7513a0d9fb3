package redis_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/redis/link"
)

// asApp makes a store over a running watch as the user app, which has the rights of an ACL rule.
func asApp(t *testing.T, server *testenv.Redis, o link.ClientOptions) (*redis.Store, *link.Watch, chan struct{}) {
	t.Helper()
	o.Network, o.Address, o.Username, o.Password = "unix", server.Socket(), "app", "any"
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = time.Second, time.Second, time.Second
	client, w := link.Connect(o, zerolog.Nop())
	back := make(chan struct{}, 8)
	w.OnUp(func() { back <- struct{}{} })
	w.Start(t.Context())
	t.Cleanup(func() {
		if err := errors.Join(w.Stop(t.Context()), client.Close()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	prefix := ""
	if len(o.Prefixes) > 0 {
		prefix = o.Prefixes[0]
	}
	return open(t, client, redis.Options{Prefix: prefix, CleanTTL: time.Hour}), w, back
}

// refusals are servers that answer and refuse commands that ticketd needs, and the words of each.
var refusals = []struct {
	name, rule string
	config     []string
	database   int
	want       string
}{
	{name: "no EVAL", config: []string{`rename-command EVAL ""`}, want: "unknown command 'eval'"},
	{name: "no EVALSHA", config: []string{`rename-command EVALSHA ""`}, want: "unknown command 'evalsha'"},
	{name: "a command of the scripts is missing", config: []string{`rename-command ZADD ""`}, want: "ZADD"},
	{name: "no scripts", rule: "+@all -@scripting", want: "NOPERM"},
	{name: "no SELECT", rule: "+@all -select", database: 1, want: "NOPERM"},
	{name: "no ZADD", rule: "+@all -zadd", want: "ZADD ticket:probe LT"},
	{name: "no HDEL", rule: "+@all -hdel", want: "HDEL ticket:probe"},
}

// A Redis that answers and refuses commands that ticketd needs is down, with Redis' own words, before a script has made half of
// its changes; when Redis allows the commands, Redis is up. Without the probe at the connection the change is half made, without
// the prober's probe Redis stays up (tried by hand).
func TestARefusalIsDown(t *testing.T) {
	t.Parallel()
	for _, c := range refusals {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			rule := c.rule
			if rule == "" {
				rule = "+@all"
			}
			server := testenv.NewRedis(t, testenv.RedisOptions{Config: append(c.config, "user app on nopass ~* &* "+rule)})
			s, w, back := asApp(t, server, link.ClientOptions{Database: c.database})
			if _, err := set(t.Context(), s, 1, "status", "open"); !errors.Is(err, store.ErrUnavailable) {
				t.Fatalf("the write: %v; want ErrUnavailable", err)
			}
			w.Prove(t.Context())
			if up, _, reason := w.State(); up || !strings.Contains(reason, c.want) {
				t.Errorf("up %v, reason %q; want down with %q", up, reason, c.want)
			}
			admin := server.Client(t)
			if left, err := admin.Keys(t.Context(), "*").Result(); err != nil || len(left) > 0 {
				t.Errorf("keys %q are there (%v): a change is half made", left, err)
			}
			if c.rule == "" {
				return
			}
			if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "+@all").Err(); err != nil {
				t.Fatal(err)
			}
			<-back
			mustSet(t, s, 1, "status", "open")
		})
	}
}

// A right is taken away while connections last: the prober finds out, also where only scripts notice.
func TestARightIsTakenAway(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"user app on nopass ~* &* +@all"}})
	admin := server.Client(t)
	s, w, back := asApp(t, server, link.ClientOptions{})
	mustSet(t, s, 1, "status", "open")
	for range 2 {
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "-zadd").Err(); err != nil {
			t.Fatal(err)
		}
		if _, err := set(t.Context(), s, 2, "status", "open"); !errors.Is(err, store.ErrUnavailable) {
			t.Fatalf("the write: %v, want ErrUnavailable", err)
		}
		testenv.Eventually(t, 10*time.Second, "Redis is down", func() bool { up, _, _ := w.State(); return !up })
		if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "+zadd").Err(); err != nil {
			t.Fatal(err)
		}
		<-back
		mustSet(t, s, 2, "status", "open")
	}
}

// A user may write the keys of its site alone, and has no INFO: the probe uses an allowed name.
func TestTheProbeKeepsToTheSitesKeys(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"user app on nopass ~shop:* +@all -info"}})
	s, w, _ := asApp(t, server, link.ClientOptions{Prefixes: []string{"shop:", "another:"}})
	mustSet(t, s, 1, "status", "open")
	w.Prove(t.Context())
	if up, _, reason := w.State(); !up {
		t.Errorf("Redis is down: %s", reason)
	}
	if left, err := server.Client(t).Keys(t.Context(), "*probe*").Result(); err != nil || len(left) > 0 {
		t.Errorf("the probe leaves %q behind (%v)", left, err)
	}
}

// A user without INFO: no change is applied again after a fail-over. Inspect says so, with the remedy.
func TestARedisThatDoesNotSayWhichProcessItIs(t *testing.T) {
	t.Parallel()
	server := testenv.NewRedis(t, testenv.RedisOptions{Config: []string{"user app on nopass ~* &* +@all -info"}})
	admin := server.Client(t)
	client := goredis.NewClient(&goredis.Options{Network: "unix", Addr: server.Socket(), Username: "app", Password: "any"})
	t.Cleanup(func() { _ = client.Close() })
	said := func() bool {
		found, _, err := link.Inspect(t.Context(), client)
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(found, func(text string) bool {
			return strings.Contains(text, "not applied again") && strings.Contains(text, "+info")
		})
	}
	if !said() {
		t.Error("without INFO nothing is said")
	}
	if err := admin.Do(t.Context(), "ACL", "SETUSER", "app", "+info").Err(); err != nil {
		t.Fatal(err)
	}
	if said() {
		t.Error("it is said where INFO is allowed")
	}
}

// A working Redis refuses one change, here as another program uses the name of its request: the replay reports the change alone.
// Without oneByOne the journal stands still (tried by hand).
func TestOneRefusedChangeHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	server, prefix := testenv.SharedRedis(t)
	client := server.Client(t)
	s := open(t, client, redis.Options{Prefix: prefix, Journal: "j"})
	entries := make([]store.Entry, 3)
	for i := range entries {
		entries[i] = store.Entry{Sequence: uint64(i) + 1, Revision: ticket.Revision(i) + 1, Mutation: store.Mutation{
			Kind: store.Set, ID: ticket.ID(i) + 1, Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
			Proposed: ticket.Revision(i) + 1, Due: time.Now(),
		}}
	}
	entries[1].Mutation.RequestID = "r"
	if err := client.HSet(t.Context(), prefix+"ticket:req:r", "no", "request").Err(); err != nil {
		t.Fatal(err)
	}
	outcomes, err := s.Replay(t.Context(), entries)
	if err != nil {
		t.Fatal(err)
	}
	if outcomes[0].Err != nil || outcomes[1].Err == nil || outcomes[2].Err != nil {
		t.Errorf("outcomes %v; want the second alone refused", outcomes)
	}
}

// The probe tries every command of the scripts and of the package. A script that calls a new command needs a line in the probe,
// too.
func TestTheProbeTriesEveryCommand(t *testing.T) {
	t.Parallel()
	probe, err := os.ReadFile("link/probe.lua")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]string{}
	for pattern, call := range map[string]*regexp.Regexp{
		"*.lua": regexp.MustCompile(`redis\.p?call\('([A-Z]+)'`),
		"*.go":  regexp.MustCompile(`pipe\.([A-Z]\w+)\(ctx`),
		"f*.go": regexp.MustCompile(`pipe\.Do\(ctx, "(\w+)"`),
	} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range call.FindAllStringSubmatch(string(text), -1) {
				used[strings.TrimSuffix(strings.ToUpper(found[1]), "WITHSCORES")] = file
			}
		}
	}
	delete(used, "INFO") // a user may be without it, which Inspect reports
	delete(used, "DO")   // names the command itself
	delete(used, "MEMORYUSAGE")
	delete(used, "MEMORY") // a user may be without it: the size of the feed is not known then
	if len(used) < 20 {
		t.Errorf("only %d commands are found in the scripts: the test's pattern is wrong", len(used))
	}
	for command, file := range used {
		if !strings.Contains(string(probe), "'"+command+"'") {
			t.Errorf("%s uses %s, and probe.lua does not try it", file, command)
		}
	}
}

// The least version is the same everywhere.
func TestTheLeastVersion(t *testing.T) {
	t.Parallel()
	for _, file := range []string{"../../docs/redis.md", "../../docs/install.md"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all := regexp.MustCompile(`Redis (\d+\.\d+) or later`).FindAllStringSubmatch(string(text), -1)
		if len(all) == 0 || slices.ContainsFunc(all, func(found []string) bool { return found[1] != link.Least }) {
			t.Errorf("%s names %q; want Redis %s or later", file, all, link.Least)
		}
	}
}
