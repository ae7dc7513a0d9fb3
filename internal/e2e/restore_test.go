package e2e

import (
	"database/sql"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// restored is a site whose MySQL was restored from a backup: since the backup ticket 1 was changed, with a field emptied,
// ticket 2 was deleted, a new ticket was made, all of that was flushed, ticket 3 was changed and not flushed, and ticket 500 was
// inserted in SQL and changed, so that the store holds the changed field alone. The daemon is killed.
type restored struct {
	*rig
	file string // the configuration
	made int64  // the id of the new ticket
}

func newRestored(t *testing.T, noRedis bool) *restored {
	t.Helper()
	r := &restored{rig: newRig(t, rigOptions{noRedis: noRedis, site: "strategy = \"interval\"\nperiod = \"1h\"\nmax_age = \"1h\""})}
	r.file = filepath.Join(filepath.Dir(r.socket), "restore.toml")
	writeFile(t, r.file, r.text)
	c := r.dial(t)
	for id := int64(1); id <= 3; id++ {
		p := set(id, "status", "old")
		p.Fields = append(p.Fields, protocol.Field{Name: "category", Value: protocol.Text("old")})
		r.must(t, func() error { _, err := c.Create(t.Context(), p.Fields, ""); return err })
	}
	flush := func() { r.must(t, func() error { _, err := c.Flush(t.Context(), nil, nil); return err }) }
	flush()
	// After a read the store holds the complete ticket, so that missing fields are known to be NULL.
	r.must(t, func() error { _, err := c.Get(t.Context(), 1); return err })
	r.sql(t, "CREATE TABLE backup_tickets AS SELECT * FROM wp_support_tickets") //nolint:unqueryvet // a backup has all columns
	p := set(1, "status", "new")
	p.Fields = append(p.Fields, protocol.Field{Name: "category", Value: protocol.Null})
	r.must(t, func() error { _, err := c.Set(t.Context(), p); return err })
	r.must(t, func() error { _, err := c.Delete(t.Context(), 2, "x"); return err })
	r.must(t, func() error {
		made, err := c.Create(t.Context(), set(1, "status", "made").Fields, "y")
		r.made = made.ID
		return err
	})
	r.insert(t, 500)
	r.must(t, func() error { _, err := c.Set(t.Context(), set(500, "status", "part")); return err })
	flush()
	r.must(t, func() error { _, err := c.Set(t.Context(), set(3, "status", "waits")); return err })
	r.Kill()
	r.sql(t, "DELETE FROM wp_support_tickets",
		"INSERT INTO wp_support_tickets SELECT * FROM backup_tickets", //nolint:unqueryvet // a backup has all columns
		"UPDATE wp_support_tickets_seq SET next = 4")                  // as if ids were not leased in blocks ahead
	return r
}

func (r *restored) must(t *testing.T, do func() error) {
	t.Helper()
	if err := do(); err != nil {
		t.Fatal(err)
	}
}

func (r *restored) sql(t *testing.T, statements ...string) {
	t.Helper()
	for _, statement := range statements {
		if _, err := r.db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

// restore runs the command and returns stdout and stderr separately.
func (r *restored) restore(t *testing.T, args ...string) (out, notes string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), append([]string{"restore", "--config", r.file}, args...)...)
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

// begin starts the daemon again, flushes, and returns the rows as "id status category deleted".
func (r *restored) begin(t *testing.T) string {
	t.Helper()
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := r.dial(t)
	if _, err := c.Flush(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	var all string
	err := r.db.QueryRowContext(t.Context(), "SELECT GROUP_CONCAT(CONCAT_WS(' ', IF(ticket_id > 3, 'made', ticket_id), status, "+
		"COALESCE(category, 'NULL'), deleted_at IS NOT NULL) ORDER BY ticket_id SEPARATOR ', ') FROM wp_support_tickets").Scan(&all)
	if err != nil {
		t.Fatal(err)
	}
	made, err := c.Create(t.Context(), set(1, "status", "later").Fields, "z")
	if err != nil || (r.redis != nil && made.ID <= r.made) {
		t.Errorf("the next ticket is %d, %v: ids up to %d were given out before", made.ID, err, r.made)
	}
	return all
}

// Redis' tickets come back, deletions and emptied fields included. (Without the fields that a complete ticket lacks, ticket
// 1's category is "old" again; without the raised sequence the next ticket takes the new ticket's id; without _had ticket 500 is
// a row of its status and of defaults; where each field that a copy lacks is NULL, ticket 1 loses the default of a column that
// came later.)
func TestRestorePrefersRedis(t *testing.T) {
	t.Parallel()
	r := newRestored(t, false)
	r.sql(t, "ALTER TABLE wp_support_tickets ADD COLUMN level VARCHAR(10) NULL DEFAULT 'basic'")
	if _, notes, err := r.restore(t, "--prefer", "redis"); err != nil || !strings.Contains(notes, "holds 1 tickets in part") {
		t.Fatalf("%v: %s", err, notes)
	}
	if got, want := r.begin(t), "1 new NULL 0, 2 old old 1, 3 waits old 0, made made NULL 0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	var level sql.NullString
	err := r.db.QueryRowContext(t.Context(), "SELECT level FROM wp_support_tickets WHERE ticket_id = 1").Scan(&level)
	if err != nil || level.String != "basic" {
		t.Errorf("the later column is %+v (%v), want its default", level, err)
	}
	letters, err := r.dial(t).DeadList(t.Context(), 0, 10)
	if err != nil || len(letters) != 1 || letters[0].ID != 500 || letters[0].Code != 1032 {
		t.Errorf("dead letters %+v (%v), want that of ticket 500", letters, err)
	}
}

// The backup wins, and the lost changes are printed. (Unless the index of pending tickets is emptied, ticket 3 is "waits".)
func TestRestorePrefersMySQL(t *testing.T) {
	t.Parallel()
	r := newRestored(t, false)
	if _, notes, err := r.restore(t, "--prefer", "mysql"); err == nil || !strings.Contains(notes, "--yes") {
		t.Errorf("without --yes: %v: %s", err, notes)
	}
	out, notes, err := r.restore(t, "--prefer", "mysql", "--yes")
	if err != nil || !strings.HasPrefix(out, `{"deleted":false,"fields":{"status":"waits",`) || !strings.HasSuffix(out,
		`"id":3}`+"\n") {
		t.Fatalf("%v: %s%s", err, out, notes)
	}
	if got, want := r.begin(t), "1 old old 0, 2 old old 0, 3 old old 0"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	c := r.dial(t)
	if got, err := c.Get(t.Context(), 1); err != nil || field(got.Fields, "status").Text() != "old" {
		t.Errorf("%+v, %v", got, err)
	}
}

// Without Redis the journal has the pending changes: the journal is moved aside, or flushed as usual.
func TestRestoreWithoutRedis(t *testing.T) {
	t.Parallel()
	r := newRestored(t, true)
	if _, notes, err := r.restore(t, "--prefer", "redis"); err == nil || !strings.Contains(notes, "without this command") {
		t.Errorf("%v: %s", err, notes)
	}
	if _, notes, err := r.restore(t, "--prefer", "mysql", "--yes"); err != nil || !strings.Contains(notes, "moved to") {
		t.Fatalf("%v: %s", err, notes)
	}
	if got := r.begin(t); !strings.HasSuffix(got, "3 old old 0") {
		t.Errorf("got %s", got)
	}
}

func TestRestoreWantsTheDaemonStopped(t *testing.T) {
	t.Parallel()
	r := &restored{rig: newRig(t, rigOptions{})}
	r.file = filepath.Join(filepath.Dir(r.socket), "restore.toml")
	writeFile(t, r.file, r.text)
	if _, notes, err := r.restore(t, "--prefer", "mysql", "--yes"); err == nil || !strings.Contains(notes, "stop it on all hosts") {
		t.Errorf("%v: %s", err, notes)
	}
	testenv.Eventually(t, time.Second, "the daemon works on", func() bool {
		_, err := r.dial(t).Ping(t.Context())
		return err == nil
	})
}
