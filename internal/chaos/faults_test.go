package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/Shopify/toxiproxy/v2"

	"github.com/ticketd/ticketd/internal/testenv"
)

// server is a process that can be killed, paused and started again on the same data.
type server interface {
	Kill()
	Stop() error
	Pause() error
	Resume() error
	Restart(ctx context.Context) error
	PID() int
}

// fault is the action of a step of a plan.
func (s *site) fault(st step) fault {
	h := s.hosts[st.Host%len(s.hosts)]
	part, act, _ := strings.Cut(st.Kind, "-")
	switch part {
	case "daemon":
		name := fmt.Sprintf("daemon %d", h.number)
		return process(name, act, h.Ticketd)
	case "clock":
		return h.skewed(st.Amount)
	case "journal":
		if act == "gone" {
			return h.journalGone()
		}
		return filled(fmt.Sprintf("journal %d", h.number), h.journal)
	case "spool":
		if act == "full" {
			return filled(fmt.Sprintf("spool %d", h.number), filepath.Dir(h.spool))
		}
		return h.spoolFolder(act)
	case "mysql":
		switch act {
		case "locked":
			return s.locked()
		case "preset":
			return s.preset(st.Amount)
		}
		if act == "cut" || act == "slow" || act == "reset" {
			return toxic(h.mysql, act, st.Amount)
		}
		return process("mysql", act, s.mariadb)
	case "redis":
		return s.redisFault(act, h, st.Amount)
	case "master", "replica":
		return s.nodeFault(part, act, st.Host)
	case "script":
		return s.scriptsFlushed()
	case "revoke":
		return s.revoked()
	case "clone":
		return s.cloned()
	case "moved":
		return s.moved(h)
	default:
		return s.altered(act)
	}
}

func nothing(context.Context) error { return nil }

// process has the faults of any server.
func process(name, act string, p server) fault {
	f := fault{target: name, part: name}
	switch act {
	case "pause":
		f.apply = func(context.Context) error { return p.Pause() }
		f.heal = func(context.Context) error { return p.Resume() }
	case "restart":
		f.apply = func(context.Context) error { return p.Stop() }
		f.heal = func(ctx context.Context) error { return start(ctx, p) }
	default:
		f.apply = func(context.Context) error { p.Kill(); return nil }
		f.heal = func(ctx context.Context) error { return start(ctx, p) }
	}
	return f
}

// start starts a stopped server. A server that cannot start yet is started again and again, as by systemd.
func start(ctx context.Context, p server) error {
	if p.PID() != 0 {
		return nil
	}
	return p.Restart(ctx)
}

// skewed sets the clock of a host.
func (h *host) skewed(seconds int) fault {
	return fault{
		target: fmt.Sprintf("clock %d by %d s", h.number, seconds), part: fmt.Sprintf("clock %d", h.number),
		apply: func(context.Context) error { return setClock(h.clock, seconds) },
		heal:  func(context.Context) error { return setClock(h.clock, 0) },
	}
}

// filled is a disk without room.
func filled(name, dir string) fault {
	path := filepath.Join(dir, "filler")
	return fault{
		target: name, part: name,
		apply: func(context.Context) error { return fill(path) },
		heal: func(context.Context) error {
			if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
				return err
			}
			return nil
		},
	}
}

// fill takes all room of a file system, to the last byte.
func fill(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	for _, size := range []int{1 << 20, 4 << 10, 1} {
		block, err := make([]byte, size), error(nil)
		for err == nil {
			_, err = file.Write(block)
		}
	}
	return nil
}

// toxic has the faults of a connection: no data passes, all data passes late, all connections are reset.
func toxic(proxy *toxiproxy.Proxy, act string, amount int) fault {
	kind, attributes := "timeout", `"timeout": 0`
	switch act {
	case "slow":
		kind, attributes = "latency", fmt.Sprintf(`"latency": %d, "jitter": %d`, abs(amount)+10, abs(amount)/2)
	case "reset":
		kind, attributes = "reset_peer", `"timeout": 0`
	}
	return fault{
		target: "link " + proxy.Name, part: "link " + proxy.Name,
		apply: func(context.Context) error {
			for _, stream := range []string{"upstream", "downstream"} {
				text := fmt.Sprintf(`{"type": %q, "stream": %q, "attributes": {%s}}`, kind, stream, attributes)
				if _, err := proxy.Toxics.AddToxicJson(strings.NewReader(text)); err != nil {
					return err
				}
			}
			return nil
		},
		heal: func(ctx context.Context) error { proxy.Toxics.ResetToxics(ctx); return nil },
	}
}

func abs(n int) int { return max(n, -n) }

// redisFault has the faults of a single Redis, or of the memory of any Redis.
func (s *site) redisFault(act string, h *host, amount int) fault {
	switch act {
	case "memory":
		return s.memory()
	case "cut", "slow", "reset":
		return toxic(h.redis, act, amount)
	default:
		return process("redis", act, s.single)
	}
}

// memory fills up: no server stores more data.
func (s *site) memory() fault {
	limit := func(bytes int) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			var errs []error
			for _, one := range s.servers() {
				errs = append(errs, admin(ctx, one, "CONFIG", "SET", "maxmemory", bytes))
			}
			return errors.Join(errs...)
		}
	}
	return fault{target: "redis", part: "redis", apply: limit(1), heal: limit(0)}
}

// scriptsFlushed empties the caches of scripts.
func (s *site) scriptsFlushed() fault {
	return fault{target: "redis", part: "redis", heal: nothing, apply: func(ctx context.Context) error {
		var errs []error
		for _, one := range s.servers() {
			errs = append(errs, admin(ctx, one, "SCRIPT", "FLUSH"))
		}
		return errors.Join(errs...)
	}}
}

// nodeFault hits a server of a set after every other server has all its data.
func (s *site) nodeFault(role, act string, number int) fault {
	f := fault{target: "redis " + role, part: "redis"}
	var victim *testenv.Redis
	f.ready = func(ctx context.Context) error {
		masters := s.nodes.Masters(ctx)
		if len(masters) == 0 {
			return errors.New("there is no master")
		}
		victim = masters[number%len(masters)]
		if role == "replica" {
			for _, node := range s.nodes.Nodes() {
				if !slices.Contains(masters, node) {
					victim = node
				}
			}
		}
		return s.nodes.Whole(ctx) // asked last: the replicas are in step now
	}
	f.apply = func(ctx context.Context) error { return process("", act, victim).apply(ctx) }
	f.heal = func(ctx context.Context) error {
		if act == "kill" && role == "master" {
			if err := s.replaced(ctx); err != nil {
				return err
			}
		}
		return process("", act, victim).heal(ctx)
	}
	return f
}

// replaced reports whether the set has replaced its dead master, and a daemon has found the new master and replayed the
// pending changes. A master that returns earlier is one of two masters for a while, and a replica that follows the wrong
// master may be the next: that loses changes acknowledged in between, see docs/redis.md.
func (s *site) replaced(ctx context.Context) error {
	want := 1
	if s.redis == cluster {
		want = 3
	}
	if got := len(s.nodes.Masters(ctx)); got != want {
		return fmt.Errorf("%d masters of %d", got, want)
	}
	return s.hosts[0].settled(ctx, redisAlone)
}

// revoked takes the daemons' right to write.
func (s *site) revoked() fault {
	return fault{
		target: "grants", part: "table",
		apply: s.statement("REVOKE INSERT, UPDATE ON `" + s.database + "`.`" + s.table + "` FROM " + dbUser + "@'127.0.0.1'"),
		heal:  s.statement(grant(s.database, s.table)),
	}
}

// altered changes the table in ways that every value of the workload fits in.
func (s *site) altered(act string) fault {
	f := fault{target: "table", part: "table"}
	if act == "add" {
		f.apply = s.statement("ALTER TABLE " + s.table + " ADD COLUMN IF NOT EXISTS chaos varchar(20) NOT NULL DEFAULT '' AFTER status")
		f.heal = s.statement("ALTER TABLE " + s.table + " DROP COLUMN IF EXISTS chaos")
		return f
	}
	f.apply = s.statement("ALTER TABLE " + s.table + " MODIFY category varchar(40) DEFAULT NULL")
	f.heal = s.statement("ALTER TABLE " + s.table + " MODIFY category varchar(64) DEFAULT NULL")
	return f
}

// statement runs SQL as root.
func (s *site) statement(text string) func(ctx context.Context) error {
	return func(ctx context.Context) error {
		_, err := s.db.ExecContext(ctx, text)
		return err
	}
}
