package e2e

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// A plugin wrote tickets into its own hashes before ticketd came. They can be read, in each of the two shapes that phpredis
// makes; the first change adopts a hash completely; no hash expires or is repaired away; and status, verify and doctor name
// the remaining hashes.
//
//nolint:paralleltest,tparallel // the steps build on each other
func TestStrayHashes(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "clean_ttl = \"1s\"\nlinger = \"10ms\""})
	c := r.dial(t)
	for id, hash := range map[string][]any{
		"7": {"customer_id", 12, "created_at", 1700000000, "status", "open", "subject", "Where is it?", "order", "A-9"},
		"8": {"0", "customer_id", "1", 13, "2", "created_at", "3", 1700000000, "4", "status", "5", "pending"},
		"9": {"created_at", "last tuesday", "status", "open"},
	} {
		if err := r.redis.HSet(t.Context(), r.prefix+"ticket:"+id, hash...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.db.ExecContext(t.Context(), "INSERT INTO wp_support_tickets (ticket_id, subject, status, category) "+
		"VALUES (8, 'from SQL', 'old', 'billing')"); err != nil {
		t.Fatal(err)
	}

	t.Run("read", func(t *testing.T) {
		found, err := c.GetMany(t.Context(), []int64{7, 8, 9})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []map[string]string{
			{"customer_id": "12", "created_at": "2023-11-14 22:13:20", "status": "open", "subject": "Where is it?", "order": "A-9"},
			{"customer_id": "13", "created_at": "2023-11-14 22:13:20", "status": "pending", "subject": "from SQL", "category": "billing"},
			{"created_at": "last tuesday", "status": "open"},
		} {
			for name, value := range want {
				if got := field(found.Tickets[i].Fields, name).Text(); got != value {
					t.Errorf("%s of ticket %d is %q, want %q", name, i+7, got, value)
				}
			}
		}
		one, err := c.Get(t.Context(), 7)
		if err != nil || field(one.Fields, "subject").Text() != "Where is it?" {
			t.Errorf("get says %+v (%v)", one, err)
		}
	})
	t.Run("verify", func(t *testing.T) {
		out, err := onHost(t, r, "verify", "--repair")
		if err == nil || strings.Count(out, "ticketd import redis") != 3 {
			t.Errorf("verify --repair (%v) says:\n%s", err, out)
		}
	})
	t.Run("change", func(t *testing.T) {
		for id, subject := range map[int64]string{7: "changed", 8: "changed too"} {
			if _, err := c.Set(t.Context(), set(id, "subject", subject)); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Flush(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]string{
			"customer_id": "12", "created_at": "2023-11-14 22:13:20", "status": "open", "subject": "changed", "extra": `{"order": "A-9"}`,
		} {
			got := column(t, r.db, name, 7)
			if name == "extra" {
				got = strings.ReplaceAll(got, `":"`, `": "`)
			}
			if got != want {
				t.Errorf("MySQL has %s = %q of ticket 7, want %q", name, got, want)
			}
		}
		for name, want := range map[string]string{
			"customer_id": "13", "status": "pending", "subject": "changed too", "category": "billing",
		} {
			if got := column(t, r.db, name, 8); got != want {
				t.Errorf("MySQL has %s = %q of ticket 8, want %q", name, got, want)
			}
		}
	})
	t.Run("refused", func(t *testing.T) {
		_, err := c.Set(t.Context(), set(9, "subject", "changed"))
		if code(err) != protocol.CodeInvalid || !strings.Contains(err.Error(), r.prefix+"ticket:9") ||
			!strings.Contains(err.Error(), "created_at") {
			t.Errorf("a change over what cannot be taken over: %v, want invalid with the hash and the field", err)
		}
		left, err := r.redis.TTL(t.Context(), r.prefix+"ticket:9").Result()
		if err != nil || left != -1 {
			t.Errorf("its hash expires in %v (%v), want never", left, err)
		}
	})
	t.Run("status", func(t *testing.T) {
		testenv.Eventually(t, 5*time.Second, "status counts the hash that is left and says why", func() bool {
			status, err := c.Status(t.Context())
			return err == nil && slices.ContainsFunc(status.Warnings, func(w string) bool {
				return strings.Contains(w, "ticketd import redis")
			}) && slices.ContainsFunc(status.Warnings, func(w string) bool {
				return strings.Contains(w, r.prefix+"ticket:9") && strings.Contains(w, "created_at")
			})
		})
	})
	t.Run("doctor", func(t *testing.T) {
		out, _ := onHost(t, r, "doctor") // other lines depend on the machine
		if !strings.Contains(out, "1 hashes of another program") || !strings.Contains(out, "ticketd import redis --site main") {
			t.Errorf("doctor says:\n%s", out)
		}
	})
}

// A hash with more fields than a ticket may have stays unchanged; the client that changes the ticket, and the operator, get
// the reason.
func TestStrayHashWithTooManyFields(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	hash := make(map[string]string)
	for i := range 1001 {
		hash["field"+strconv.Itoa(i)] = "x"
	}
	if err := r.redis.HSet(t.Context(), r.prefix+"ticket:7", hash).Err(); err != nil {
		t.Fatal(err)
	}
	_, err := c.Set(t.Context(), set(7, "status", "closed"))
	names := func(text string) bool {
		return strings.Contains(text, r.prefix+"ticket:7") && strings.Contains(text, "1001 fields") &&
			strings.Contains(text, "1000 at most")
	}
	if code(err) != protocol.CodeInvalid || !names(err.Error()) {
		t.Errorf("the change is answered by %v", err)
	}
	status, err := c.Status(t.Context())
	if err != nil || !slices.ContainsFunc(status.Warnings, names) {
		t.Errorf("status warns of %q (%v)", status.Warnings, err)
	}
	if n := r.redis.HLen(t.Context(), r.prefix+"ticket:7").Val(); n != 1001 {
		t.Errorf("the hash has %d fields", n)
	}
}

// With a journal that acknowledges first, a change of a stray hash is replayed into the hash without losing its other fields.
func TestStrayHashBehindTheJournal(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{site: "ack = \"journal\"\nlinger = \"10ms\""})
	c := r.dial(t)
	if err := r.redis.HSet(t.Context(), r.prefix+"ticket:7", "created_at", 1700000000, "status", "open").Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Set(t.Context(), set(7, "status", "closed")); err != nil {
		t.Fatal(err)
	}
	one, err := c.Get(t.Context(), 7)
	if err != nil || field(one.Fields, "status").Text() != "closed" ||
		field(one.Fields, "created_at").Text() != "2023-11-14 22:13:20" {
		t.Errorf("get says %+v (%v)", one, err)
	}
	testenv.Eventually(t, 10*time.Second, "both fields are in MySQL", func() bool {
		return column(t, r.db, "status", 7) == "closed" && column(t, r.db, "created_at", 7) == "2023-11-14 22:13:20"
	})
}

// Redis goes back to a time before a hash was adopted, and the ticket has been flushed completely since: MySQL is newer. The
// hash is not read, the next change sets it aside, and status and doctor name it. `import redis` refuses it.
func TestStrayHashFromBeforeItsTicket(t *testing.T) {
	t.Parallel()
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	r := newRig(t, rigOptions{redis: redis, site: "linger = \"5ms\""})
	c := r.dial(t)
	for _, id := range []string{"7", "8"} {
		hash := []any{"customer_id", 12, "status", "open", "subject", "old"}
		if err := r.redis.HSet(t.Context(), r.prefix+"ticket:"+id, hash...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	mustCreate(t, c, "other")
	flushed(t, c)
	if err := r.redis.Save(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	for _, id := range []int64{7, 8} {
		mustSet(t, c, id, "status", "closed")
		mustSet(t, c, id, "subject", "new")
	}
	flushed(t, c)
	redis.Kill()
	if err := redis.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	testenv.Eventually(t, 10*time.Second, "the ticket is read", func() bool {
		got, err := c.Get(t.Context(), 7)
		return err == nil && !got.Stale && field(got.Fields, "subject").Text() == "new"
	})
	mustSet(t, c, 7, "category", "billing")
	flushed(t, c)
	for name, want := range map[string]string{"status": "closed", "subject": "new", "category": "billing", "customer_id": "12"} {
		if got := column(t, r.db, name, 7); got != want {
			t.Errorf("MySQL has %s = %q, want %q", name, got, want)
		}
	}
	if got := r.redis.HGet(t.Context(), r.prefix+"ticket:aside:7", "subject").Val(); got != "old" {
		t.Errorf("the hash that was set aside has the subject %q", got)
	}
	status, err := c.Status(t.Context())
	if err != nil || !strings.Contains(strings.Join(status.Warnings, "\n"), r.prefix+"ticket:aside:") {
		t.Errorf("status warns of %q (%v)", status.Warnings, err)
	}
	if out, _ := onHost(t, r, "doctor"); !strings.Contains(out, "1 hashes of another program were older") {
		t.Errorf("doctor says:\n%s", out)
	}
	for _, dry := range []string{"--dry-run", "--dry-run=false"} { // both say the same
		out, err := onHost(t, r, "import", "redis", dry, "--pattern", r.prefix+"ticket:*")
		if err == nil || !strings.Contains(out, "older than the ticket") {
			t.Errorf("import redis %s (%v) says:\n%s", dry, err, out)
		}
	}
	out, err := onHost(t, r, "import", "redis", "--pattern", r.prefix+"ticket:*", "--overwrite")
	flushed(t, c)
	if got := column(t, r.db, "subject", 8); err != nil || got != "old" {
		t.Errorf("import redis --overwrite (%v) says:\n%s\nand MySQL has the subject %q", err, out, got)
	}
}

// onHost runs a command that reads the configuration.
func onHost(t *testing.T, r *rig, args ...string) (string, error) {
	t.Helper()
	file := filepath.Join(filepath.Dir(r.socket), "command.toml")
	writeFile(t, file, r.text)
	return r.run(t, append(args, "--config", file)...)
}
