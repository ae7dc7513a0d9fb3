package chaos

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/chaos/history"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// settleWithin is how long all changes may take to arrive in MySQL after the last fault.
const settleWithin = 90 * time.Second

// settle waits until all daemons report no pending changes. The history reports changes that are still pending then.
func (s *site) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	return testenv.Until(ctx, func() error {
		var errs []error
		for _, h := range s.hosts {
			if err := h.settled(ctx, throughAll); err != nil {
				errs = append(errs, fmt.Errorf("daemon %d: %w", h.number, err))
			}
		}
		return errors.Join(errs...)
	})
}

// How far a daemon must have come to be settled.
const (
	redisAlone  = false // all changes are in Redis
	throughAll  = true  // and in MySQL
	settleStep  = 20 * time.Second
	settleRedis = 2 * time.Second
)

// settled returns the parts of a daemon's status that are not settled.
func (h *host) settled(ctx context.Context, flushed bool) error {
	step := settleRedis
	if flushed {
		step = settleStep
	}
	ctx, cancel := context.WithTimeout(ctx, step)
	defer cancel()
	c, err := protocol.Dial(ctx, h.socket)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if flushed {
		if _, err := c.Flush(ctx, nil, nil); err != nil {
			return err
		}
	}
	status, err := c.Status(ctx)
	switch {
	case err != nil:
		return err
	case status.Store.State != protocol.StateUp:
		return fmt.Errorf("the store is %s: %s", status.Store.State, status.Store.Reason)
	case waiting(&status) > 0:
		return fmt.Errorf("%d changes wait in the journal", waiting(&status))
	case !flushed:
		return nil
	case status.Sink.State != protocol.StateUp:
		return fmt.Errorf("MySQL is %s: %s", status.Sink.State, status.Sink.Reason)
	case status.Dirty > 0 || status.Spool.Files > 0:
		return fmt.Errorf("%d dirty, %d in the spool", status.Dirty, status.Spool.Files)
	}
	_, others, err := h.bad()
	if err == nil && others > 0 {
		err = fmt.Errorf("%d files in bad/ that cannot be used", others)
	}
	return err
}

// bad reads bad/ of all spool folders that the host has, or had; see spoolFolder.
func (h *host) bad() (late []history.Aside, others int, err error) {
	return history.Bad(h.number, h.spool, filepath.Join(h.spool, "*"), filepath.Join(filepath.Dir(h.spool), "aside-*"))
}

// waiting are the changes pending in the journal for Redis. A journal that is the store also counts its dead letters.
func waiting(status *protocol.StatusResult) int64 {
	if status.Backend == protocol.BackendJournal {
		return 0
	}
	return status.Journal.Entries
}

// final reads the final places of all tickets.
func (s *site) final(t *testing.T) history.Final {
	t.Helper()
	rows, err := s.rowsIn(t.Context(), s.db)
	if err != nil {
		t.Fatal(err)
	}
	f := history.Final{Rows: rows}
	for _, h := range s.hosts {
		c, err := protocol.Dial(t.Context(), h.socket)
		if err != nil {
			t.Fatal(err)
		}
		status, err := c.Status(t.Context())
		if err != nil {
			t.Fatalf("daemon %d: %v", h.number, err)
		}
		late, others, err := h.bad()
		if err != nil {
			t.Fatalf("daemon %d: %v", h.number, err)
		}
		f.Aside = append(f.Aside, late...)
		f.Dirty += int(waiting(&status)+status.Spool.Files) + others
		if h.number == 0 { // the other hosts have the same Redis
			f.Dirty += int(status.Dirty)
			f.Dead = letters(t, c)
		}
		_ = c.Close()
	}
	return f
}

// letters are all dead letters.
func letters(t *testing.T, c *protocol.Client) []history.Row {
	t.Helper()
	var rows []history.Row
	for after := int64(0); ; {
		page, err := c.DeadList(t.Context(), after, protocol.MaxTickets)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range page {
			t.Logf("dead letter of ticket %d: %d %s", one.ID, one.Code, one.Reason)
			rows = append(rows, history.Row{
				Ticket: int64(one.ID), Revision: int64(one.Revision), Deleted: one.Deleted, Fields: fromWire(one.Fields),
			})
			after = int64(one.ID)
		}
		if len(page) < protocol.MaxTickets {
			return rows
		}
	}
}

// moves are the tickets that got a different id after the acknowledged create, according to the daemons' logs.
func (s *site) moves() []history.Moved {
	var all []history.Moved
	for _, h := range s.hosts {
		for line := range strings.Lines(h.Log()) {
			var m struct {
				Ticket int64 `json:"ticket"`
				NewID  int64 `json:"new_id"`
			}
			if json.Unmarshal([]byte(line), &m) == nil && m.NewID != 0 {
				all = append(all, history.Moved{From: m.Ticket, To: m.NewID})
			}
		}
	}
	return all
}

// rowsIn are all rows of the site's table in a database.
func (s *site) rowsIn(ctx context.Context, db *sql.DB) ([]history.Row, error) {
	columns := []string{"subject", "status", "category", "priority", "assigned_to"}
	from := "SELECT ticket_id, revision, deleted_at IS NOT NULL, extra, subject"
	if s.adopted {
		revision, err := s.revision(ctx, db)
		if err != nil {
			return nil, err
		}
		from = "SELECT id, " + revision + ", false, NULL, title"
	}
	found, err := db.QueryContext(ctx, from+", "+strings.Join(columns[1:], ", ")+" FROM "+s.table+" ORDER BY 1")
	if err != nil {
		return nil, err
	}
	defer found.Close()
	var rows []history.Row
	for found.Next() {
		row, extra := history.Row{Fields: make(map[string]history.Value)}, sql.NullString{}
		values := make([]*string, len(columns))
		into := []any{&row.Ticket, &row.Revision, &row.Deleted, &extra}
		for i := range values {
			into = append(into, &values[i])
		}
		if err := found.Scan(into...); err != nil {
			return nil, err
		}
		for i, name := range columns {
			row.Fields[name] = values[i]
		}
		if extra.Valid {
			if err := readExtra(&row, extra.String); err != nil {
				return nil, err
			}
		}
		rows = append(rows, row)
	}
	return rows, found.Err()
}

// revision is the expression of an adopted row's revision, which is in the side table or, if an earlier version of ticketd
// adopted the table, in the table.
func (s *site) revision(ctx context.Context, db *sql.DB) (string, error) {
	beside := 0
	if err := db.QueryRowContext(ctx, "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = DATABASE() "+
		"AND table_name = ?", s.table+"_ticketd").Scan(&beside); err != nil {
		return "", err
	}
	if beside == 0 {
		return "revision", nil
	}
	return "COALESCE((SELECT s.revision FROM " + s.table + "_ticketd s WHERE s.ticket_id = " + s.table + ".id), 0)", nil
}

// readExtra reads the workload's fields without a column. A dropped column may have left other fields in the extra column.
func readExtra(row *history.Row, text string) error {
	var extra map[string]history.Value
	if err := json.Unmarshal([]byte(text), &extra); err != nil {
		return fmt.Errorf("extra of ticket %d: %w", row.Ticket, err)
	}
	for name, value := range extra {
		if slices.Contains(history.Fields, name) {
			row.Fields[name] = value
		}
	}
	return nil
}
