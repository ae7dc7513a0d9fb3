package e2e

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// window is how many ids the daemon asks MySQL about at once.
const window = 64

// insert puts a row into the table, as SQL or another plugin does.
func (r *rig) insert(t *testing.T, ids ...int64) {
	t.Helper()
	for _, id := range ids {
		_, err := r.db.ExecContext(t.Context(), "INSERT INTO wp_support_tickets (ticket_id, subject, customer_id, extra) "+
			"VALUES (?, 'precious', 5, '{\"message\":\"private\"}')", id)
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantRows counts the foreign rows, which must be unchanged, and the rows of created tickets.
func (r *rig) wantRows(t *testing.T, precious, mine int) {
	t.Helper()
	var gotPrecious, gotMine, all int
	err := r.db.QueryRowContext(t.Context(), "SELECT COALESCE(SUM(subject = 'precious' AND revision = 0 AND customer_id = 5 AND "+
		"extra LIKE '%private%'), 0), COALESCE(SUM(subject = 'mine' AND revision > 0 AND extra IS NULL), 0), COUNT(*) "+
		"FROM wp_support_tickets").Scan(&gotPrecious, &gotMine, &all)
	if err != nil || gotPrecious != precious || gotMine != mine || all != precious+mine {
		t.Errorf("%d rows of others and %d tickets of %d, %v; want %d and %d", gotPrecious, gotMine, all, err, precious, mine)
	}
}

// flushed flushes all and returns how many tickets were refused.
func flushed(t *testing.T, c *protocol.Client) int64 {
	t.Helper()
	result, err := c.Flush(t.Context(), nil, nil)
	if err != nil {
		t.Fatal("flush:", err)
	}
	return result.Dead
}

// Rows of SQL have ids inside the block that the daemon has leased: creates get other ids. Without the query before a create
// the rows' ids are given, and the creates end as dead letters.
func TestCreatesPassOverIDsOfRows(t *testing.T) {
	t.Parallel()
	eachUnflushed(t, func(t *testing.T, r *rig, c *protocol.Client) {
		first := mustCreate(t, c, "mine")
		// The next query is about ids after the first.
		taken := []int64{first + window, first + window + 1, first + window + 3, first + 2*window - 1}
		r.insert(t, taken...)
		for range window + 20 {
			mustCreate(t, c, "mine")
		}
		if n := flushed(t, c); n != 0 {
			t.Errorf("%d creates were refused", n)
		}
		r.wantRows(t, len(taken), 1+window+20)
	})
}

// Ids named by requests inside the block: each stays the same ticket, also before MySQL has the ticket.
func TestCreatesPassOverIDsThatRequestsName(t *testing.T) {
	t.Parallel()
	eachUnflushed(t, func(t *testing.T, r *rig, c *protocol.Client) {
		first := mustCreate(t, c, "mine")
		for i := range int64(5) {
			mustSet(t, c, first+1+2*i, "subject", "precious")
		}
		for range 12 {
			mustCreate(t, c, "mine")
		}
		for i := range int64(5) {
			if subject, _ := mustGet(t, c, first+1+2*i, "subject"); subject != "precious" {
				t.Errorf("ticket %d is %q", first+1+2*i, subject)
			}
		}
		if n := flushed(t, c); n != 0 {
			t.Errorf("%d tickets were refused", n)
		}
		var rows, precious int
		err := r.db.QueryRowContext(t.Context(), "SELECT COUNT(*), SUM(subject = 'precious') FROM wp_support_tickets").
			Scan(&rows, &precious)
		if err != nil || rows != 18 || precious != 5 {
			t.Errorf("%d rows, %d of them as requests named them, %v; want 18 and 5", rows, precious, err)
		}
	})
}

// MySQL does not answer while SQL takes the ids, so the creates are acknowledged: they must not touch the rows, and must
// report the conflict.
func TestACreateThatMeetsARowIsADeadLetter(t *testing.T) {
	t.Parallel()
	eachUnflushed(t, func(t *testing.T, r *rig, c *protocol.Client) {
		first := mustCreate(t, c, "mine")
		flushed(t, c)
		r.proxy.Hold()
		r.insert(t, first+1, first+3)
		for range 4 {
			mustCreate(t, c, "mine")
		}
		r.proxy.Release()
		if n := flushed(t, c); n != 2 {
			t.Errorf("%d creates were refused, want 2", n)
		}
		r.wantRows(t, 2, 3)
		letters, err := c.DeadList(t.Context(), 0, 0)
		if err != nil || len(letters) != 2 {
			t.Fatalf("letters %+v, %v; want 2", letters, err)
		}
		for i, l := range letters {
			if int64(l.ID) != first+1+2*int64(i) || !strings.Contains(l.Reason, "create the ticket again") {
				t.Errorf("letter %+v, want that of a row's id, which says what to do", l)
			}
		}
		// The advice of the letter.
		mustCreate(t, c, "mine")
		mustCreate(t, c, "mine")
		if _, err := c.DeadDrop(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if n := flushed(t, c); n != 0 {
			t.Errorf("%d creates were refused", n)
		}
		r.wantRows(t, 2, 5)
		if subject, _ := mustGet(t, c, first+1, "subject"); subject != "precious" {
			t.Errorf("ticket %d reads as %q after the letter was dropped", first+1, subject)
		}
	})
}

// A mistyped id makes a ticket, and moves the numbering neither at a restart nor at a migration, only with --raise-ids.
func TestATypedInIDDoesNotMoveTheNumbering(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		r := newRig(t, o)
		c := r.dial(t)
		mustCreate(t, c, "mine")
		mustSet(t, c, 888888, "subject", "a typo")
		flushed(t, c)
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		r.migrate(t, r.text)
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if id := mustCreate(t, r.dial(t), "mine"); id > 10_000 {
			t.Errorf("the next ticket is %d", id)
		}
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		out, err := r.run(t, "migrate", "--config", filepath.Join(filepath.Dir(r.socket), "migrate.toml"), "--raise-ids")
		if err != nil || !strings.Contains(out, "to 888889") {
			t.Errorf("migrate --raise-ids says %s (%v)", out, err)
		}
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if id := mustCreate(t, r.dial(t), "mine"); id != 888889 {
			t.Errorf("the next ticket is %d after --raise-ids, want 888889", id)
		}
	})
}

// MySQL hangs, and the daemon is restarted after a stop or a kill: tickets are created from the ids that the former daemon
// had leased, each id once.
func TestCreatesGoOnAfterARestartWithoutMySQL(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		o.daemon = "shutdown_timeout = \"1s\""
		r := newRig(t, o)
		given := map[int64]bool{}
		create := func(n int) {
			t.Helper()
			c := r.dial(t)
			for range n {
				id := mustCreate(t, c, "mine")
				if given[id] {
					t.Fatalf("ticket %d was created twice", id)
				}
				given[id] = true
			}
		}
		create(20)
		r.proxy.Hold()
		for name, end := range map[string]func(){"stopped": func() { _ = r.Stop() }, "killed": r.Kill} {
			end()
			if err := r.Restart(t.Context()); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			create(50)
		}
		r.proxy.Release()
		c := r.dial(t)
		if n := flushed(t, c); n != 0 {
			t.Errorf("%d creates were refused", n)
		}
		r.wantRows(t, 0, 120)
	})
}

// The table gives ids itself, to a plugin that inserts while tickets are created.
func TestCreatesBesideAUTO_INCREMENT(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, o rigOptions) {
		o.site = "id_block = 20\n"
		r := newRig(t, o)
		alter(t, r, "MODIFY ticket_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT")
		if err := r.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		c := r.dial(t)
		const rows = 300
		inserted := make(chan error, 1)
		go func() {
			for i := range rows {
				_, err := r.db.ExecContext(t.Context(), "INSERT INTO wp_support_tickets (subject, customer_id, extra) "+
					"VALUES ('precious', 5, '{\"message\":\"private\"}')")
				if err != nil {
					inserted <- fmt.Errorf("row %d: %w", i, err)
					return
				}
			}
			inserted <- nil
		}()
		for range 200 {
			mustCreate(t, c, "mine")
		}
		if err := <-inserted; err != nil {
			t.Fatal(err)
		}
		if n := flushed(t, c) + dead(t, c); n != 0 {
			t.Errorf("%d creates were refused", n)
		}
		r.wantRows(t, rows, 200)
	})
}

// A row that SQL has marked as deleted stays unchanged, and the daemon's copy of the ticket is dropped.
func TestAChangeOfADeletedRowIsForgotten(t *testing.T) {
	t.Parallel()
	eachUnflushed(t, func(t *testing.T, r *rig, c *protocol.Client) {
		mustSet(t, c, 7, "status", "open")
		flushed(t, c)
		if _, err := r.db.ExecContext(t.Context(), "UPDATE wp_support_tickets SET deleted_at = '2026-01-02 03:04:05'"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Set(t.Context(), set(7, "status", "late")); err == nil { // while the store still has its copy
			if n := flushed(t, c); n != 0 {
				t.Errorf("%d tickets were refused", n)
			}
		}
		if _, err := c.Get(t.Context(), 7); code(err) != protocol.CodeNotFound {
			t.Errorf("get: %v, want not_found", err)
		}
		if status := column(t, r.db, "status", 7); status != "open" {
			t.Errorf("the deleted row's status is %q, want it as it was", status)
		}
	})
}

// A create that met a foreign row and was deleted before it arrived leaves the row alone, and readers get the row.
func TestADeletedCreateLeavesTheRowOfSomebodyElse(t *testing.T) {
	t.Parallel()
	eachUnflushed(t, func(t *testing.T, r *rig, c *protocol.Client) {
		id := mustCreate(t, c, "mine") + 1
		flushed(t, c)
		r.proxy.Hold()
		r.insert(t, id)
		mustCreate(t, c, "mine")
		if _, err := c.Delete(t.Context(), id, ""); err != nil {
			t.Fatal(err)
		}
		r.proxy.Release()
		if n := flushed(t, c); n != 0 {
			t.Errorf("%d tickets were refused", n)
		}
		r.wantRows(t, 1, 1)
		if subject, _ := mustGet(t, c, id, "subject"); subject != "precious" {
			t.Errorf("ticket %d reads as %q, want the row", id, subject)
		}
	})
}
