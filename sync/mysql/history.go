package mysql

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	phpclient "github.com/ticketd/ticketd/php-client"
	"github.com/ticketd/ticketd/sync/flush"
)

// historySuffix makes the name of the table of the tickets' history. The table has a row for each change, so that unlike the
// tickets table it grows with every write; it is written by a courier of the feed, never by a flush.
const historySuffix = "_history"

// History is the table of a database's history.
type History struct{ db *DB }

// NewHistory makes the history of a database.
func NewHistory(db *DB) *History { return &History{db: db} }

func (h *History) table() string { return quote(h.db.config.Table + historySuffix) }

// The kinds of rows in the history that are no change of a ticket.
const (
	// HistoryGap marks where changes are missing; its ticket is 0.
	HistoryGap = "gap"
	// HistoryDropped is a change that an operator has dropped: the tickets table never got it.
	HistoryDropped = "dropped"
)

// Change is a row of the history.
type Change struct {
	// Ticket is zero for a gap.
	Ticket   ticket.ID
	Revision ticket.Revision
	// Kind is that of the event: created, updated, deleted, or one of the kinds above.
	Kind string
	// Values are the values of each changed field: the old and the new one; the new one alone where the old one is not known; none
	// where values are left out. Nil if the values were erased.
	Values map[string][]ticket.Value
	// By and Via are those of the event.
	By, Via string
	At      time.Time
	// Gap says that changes directly before this one may be missing. Set by [History.Read] alone.
	Gap bool
}

// maxHistoryBytes bounds the values in a statement; max_allowed_packet is 1 MiB at least everywhere.
const maxHistoryBytes = 512 << 10

// Add adds rows to the history. Rows that are there already stay; a row of the kind [HistoryDropped] marks the row that is
// there. Errors wrap [flush.ErrSinkDown], [flush.ErrSinkPaused] or [flush.ErrSinkForeign].
func (h *History) Add(ctx context.Context, changes []Change) error {
	for len(changes) > 0 {
		n, bytes := 0, 0
		var values strings.Builder
		var args []any
		for n < len(changes) && n < h.db.config.MaxRows {
			row, size, err := changes[n].row()
			if err != nil {
				return err
			}
			if bytes += size; n > 0 && bytes > maxHistoryBytes {
				break
			}
			values.WriteString(",(?,?,?,?,?,?,?,?)")
			args = append(args, row...)
			n++
		}
		statement := "INSERT INTO " + h.table() + " (" + historyColumns + ") VALUES " +
			values.String()[1:] + " ON DUPLICATE KEY UPDATE kind = IF(VALUES(kind) = '" + HistoryDropped + "', VALUES(kind), kind)"
		if _, err := h.db.pool.ExecContext(ctx, statement, args...); err != nil {
			return h.failure("add to the history", err)
		}
		changes = changes[n:]
	}
	return nil
}

// failure wraps an error of the history's table, which says nothing about the tickets table.
func (h *History) failure(operation string, err error) error {
	const noSuchColumn = 1054
	switch {
	case missing(err):
		return fmt.Errorf("mysql: %s: %w: %w; run ticketd migrate", operation, flush.ErrSinkPaused, err)
	case refusedWith(err, noSuchColumn):
		return fmt.Errorf("mysql: %s: %w: %w; another program's table has the name of the history's: rename that table, and run "+
			"ticketd migrate", operation, flush.ErrSinkPaused, err)
	}
	if answered(err) && judge(err) != down && judge(err) != conflict {
		h.db.heard(nil)
		return fmt.Errorf("mysql: %s: %w: %w", operation, flush.ErrSinkPaused, err)
	}
	return h.db.failure(operation, err)
}

const historyColumns = "ticket_id,revision,kind,fields,changes,actor,via,changed_at"

// The columns' lengths.
const (
	historyFields = 255
	historyActor  = 64
	historyVia    = 32
)

// row is the change as a row, and its size in bytes.
func (c *Change) row() (row []any, size int, err error) {
	names := "," + strings.Join(slices.Sorted(maps.Keys(c.Values)), ",") + ","
	switch {
	case len(c.Values) == 0:
		names = ""
	case len(names) > historyFields:
		names = ",*,"
	}
	var changes any
	if c.Values != nil {
		text, err := json.Marshal(jsonValues(c.Values))
		if err != nil {
			return nil, 0, fmt.Errorf("a change of ticket %d: %w", c.Ticket, err)
		}
		changes = string(text)
		size = len(text)
	}
	const overhead = 400
	return []any{
		int64(c.Ticket), int64(c.Revision), c.Kind, names, changes, orNull(c.By, historyActor), orNull(c.Via, historyVia),
		c.At.UTC().Format("2006-01-02 15:04:05.000000"),
	}, size + overhead, nil
}

func orNull(text string, most int) any {
	if text == "" {
		return nil
	}
	return text[:min(len(text), most)]
}

func jsonValues(of map[string][]ticket.Value) map[string][]*string {
	found := make(map[string][]*string, len(of))
	for name, values := range of {
		found[name] = make([]*string, len(values))
		for i, v := range values {
			if !v.IsNull() {
				text := v.Text()
				found[name][i] = &text
			}
		}
	}
	return found
}

// Make makes the table of the history if the table does not exist; the user needs the right to CREATE.
func (h *History) Make(ctx context.Context) error {
	m := &migration{config: h.db.config}
	if _, err := h.db.pool.ExecContext(ctx, m.schema(phpclient.History)[0]); err != nil {
		return h.failure("make the table of the history", err)
	}
	return nil
}

// Look checks that the history can be read. Errors are those of [History.Add].
func (h *History) Look(ctx context.Context) error {
	var n int
	one := "SELECT " + historyColumns + " FROM " + h.table() + " LIMIT 1"
	err := h.db.pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM ("+one+") AS one").Scan(&n)
	if err != nil {
		return h.failure("look at the history", err)
	}
	return nil
}

// table makes the table of the history where the site keeps one, and completes a table of an earlier version.
func (m *migration) history(ctx context.Context) error {
	if !m.options.History {
		return nil
	}
	there, err := m.exists(ctx, m.config.Table+historySuffix)
	if err != nil || there {
		return err
	}
	return m.run(ctx, m.schema(phpclient.History)[0])
}

// HistoryQuery selects changes of a ticket.
type HistoryQuery struct {
	Ticket ticket.ID
	// Before, if not zero, selects changes below that revision: the next page.
	Before ticket.Revision
	// Field, if not empty, selects changes of that field.
	Field string
	Limit int
}

// Read returns changes of a ticket, newest first, and whether there are older ones. Old values that the events lack are those
// of the change before, unless changes are missing between. Without the table, which the first change makes, there are none.
func (h *History) Read(ctx context.Context, q HistoryQuery) (changes []Change, more bool, err error) {
	where, args := "ticket_id = ?", []any{int64(q.Ticket)}
	if q.Before != 0 {
		where, args = where+" AND revision < ?", append(args, int64(q.Before))
	}
	if q.Field != "" {
		where += " AND (LOCATE(?, fields) > 0 OR fields = ',*,' AND JSON_CONTAINS_PATH(changes, 'one', ?))"
		args = append(args, ","+q.Field+",", `$."`+q.Field+`"`)
	}
	changes, err = h.rows(ctx, where+" ORDER BY revision DESC LIMIT ?", append(args, q.Limit+1)...)
	if missing(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	if err := h.markGaps(ctx, changes); err != nil {
		return nil, false, err
	}
	if more = len(changes) > q.Limit; more {
		changes = changes[:q.Limit]
	}
	return changes, more, h.fillOld(ctx, q.Ticket, changes)
}

func (h *History) rows(ctx context.Context, where string, args ...any) (changes []Change, err error) {
	const operation = "read the history"
	rows, err := h.db.pool.QueryContext(ctx, "SELECT ticket_id, revision, kind, changes, COALESCE(actor, ''), COALESCE(via, ''), "+
		"DATE_FORMAT(changed_at, '%Y-%m-%d %H:%i:%s.%f') FROM "+h.table()+" WHERE "+where, args...)
	if err != nil {
		return nil, h.failure(operation, err)
	}
	defer rows.Close()
	for rows.Next() {
		var c Change
		var values sql.NullString
		var at string
		if err := rows.Scan(&c.Ticket, &c.Revision, &c.Kind, &values, &c.By, &c.Via, &at); err != nil {
			return nil, h.failure(operation, err)
		}
		if c.At, err = time.Parse("2006-01-02 15:04:05.000000", at); err != nil {
			return nil, fmt.Errorf("mysql: %s: %w", operation, err)
		}
		if values.Valid {
			if c.Values, err = parseValues(values.String); err != nil {
				return nil, fmt.Errorf("mysql: %s: ticket %d, revision %d: %w", operation, c.Ticket, c.Revision, err)
			}
		}
		changes = append(changes, c)
	}
	if err := rows.Err(); err != nil {
		return nil, h.failure(operation, err)
	}
	return changes, nil
}

func parseValues(text string) (map[string][]ticket.Value, error) {
	var raw map[string][]*string
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, err
	}
	found := make(map[string][]ticket.Value, len(raw))
	for name, values := range raw {
		found[name] = make([]ticket.Value, len(values))
		for i, v := range values {
			if v != nil {
				found[name][i] = ticket.Text(*v)
			}
		}
	}
	return found, nil
}

// markGaps marks the changes before which changes may be missing. changes are of one ticket, newest first; the last one is marked
// if a gap is anywhere before it.
func (h *History) markGaps(ctx context.Context, changes []Change) error {
	if len(changes) == 0 {
		return nil
	}
	const most = 1000
	gaps, err := h.rows(ctx, "ticket_id = 0 AND changed_at <= ? ORDER BY changed_at DESC LIMIT ?",
		changes[0].At.Format("2006-01-02 15:04:05.000000"), most)
	if err != nil {
		return err
	}
	for i := range changes {
		for _, gap := range gaps {
			before := i+1 == len(changes) || gap.At.After(changes[i+1].At)
			if before && !gap.At.After(changes[i].At) {
				changes[i].Gap = true
			}
		}
	}
	return nil
}

// fillOld completes changes whose old value the event lacked: it is the new value of the change before.
func (h *History) fillOld(ctx context.Context, id ticket.ID, changes []Change) error {
	for i := range changes {
		c := &changes[i]
		if c.Gap || c.Kind == string(ticket.EventCreated) {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(c.Values)) {
			if len(c.Values[name]) != 1 {
				continue
			}
			old, known, err := h.oldValue(ctx, id, changes[i+1:], c.Revision, name)
			if err != nil {
				return err
			}
			if known {
				c.Values[name] = []ticket.Value{old, c.Values[name][0]}
			}
		}
	}
	return nil
}

// oldValue is the value of a field before a change: that of the newest older change which has the field. page are the older
// changes that are read already.
func (h *History) oldValue(
	ctx context.Context, id ticket.ID, page []Change, before ticket.Revision, name string,
) (old ticket.Value, known bool, err error) {
	for i := range page {
		c := &page[i]
		values, has := c.Values[name]
		switch {
		case c.Values == nil:
			return ticket.Null, false, nil // erased
		case has && len(values) > 0 && c.Kind != HistoryDropped:
			return values[len(values)-1], true, nil
		case has, c.Gap:
			return ticket.Null, false, nil
		}
		before = c.Revision
	}
	const most = 1
	older, err := h.rows(ctx, "ticket_id = ? AND revision < ? AND (LOCATE(?, fields) > 0 OR fields = ',*,' AND "+
		"JSON_CONTAINS_PATH(changes, 'one', ?)) ORDER BY revision DESC LIMIT ?",
		int64(id), int64(before), ","+name+",", `$."`+name+`"`, most)
	if err != nil || len(older) == 0 {
		return ticket.Null, false, err
	}
	gaps, err := h.rows(ctx, "ticket_id = 0 AND changed_at > ? AND revision < ? LIMIT ?",
		older[0].At.Format("2006-01-02 15:04:05.000000"), int64(before), most)
	values := older[0].Values[name]
	if err != nil || len(gaps) > 0 || len(values) == 0 || older[0].Kind == HistoryDropped {
		return ticket.Null, false, err
	}
	return values[len(values)-1], true, nil
}

// Purge removes up to limit rows from before a time, the oldest first, and returns their number; zero without the table.
func (h *History) Purge(ctx context.Context, before time.Time, limit int) (int64, error) {
	result, err := h.db.pool.ExecContext(ctx, "DELETE FROM "+h.table()+" WHERE changed_at < ? ORDER BY changed_at LIMIT ?",
		before.UTC().Format("2006-01-02 15:04:05.000000"), limit)
	if missing(err) {
		return 0, nil
	}
	if err != nil {
		return 0, h.failure("purge the history", err)
	}
	return result.RowsAffected()
}

// Erase removes the values of tickets' changes up to a revision, and returns the number of the changes. Who changed the
// ticket, and when, stays. Without the table there are none.
func (h *History) Erase(ctx context.Context, ids []ticket.ID, upTo ticket.Revision) (int64, error) {
	var sum int64
	for part := range slices.Chunk(ids, h.db.config.MaxRows) {
		args := make([]any, 0, len(part)+1)
		for _, id := range part {
			args = append(args, int64(id))
		}
		result, err := h.db.pool.ExecContext(ctx, "UPDATE "+h.table()+" SET changes = NULL WHERE ticket_id IN (?"+
			strings.Repeat(",?", len(part)-1)+") AND revision <= ? AND changes IS NOT NULL", append(args, int64(upTo))...)
		if missing(err) {
			return 0, nil
		}
		if err != nil {
			return sum, h.failure("erase values in the history", err)
		}
		n, err := result.RowsAffected()
		if err != nil {
			return sum, h.failure("erase values in the history", err)
		}
		sum += n
	}
	return sum, nil
}

// Size returns the server's estimate of the history's rows and bytes; zero without the table.
func (h *History) Size(ctx context.Context) (rows, bytes int64, err error) {
	err = h.db.pool.QueryRowContext(ctx, "SELECT COALESCE(table_rows, 0), COALESCE(data_length + index_length, 0) FROM "+
		"information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?", h.db.config.Table+historySuffix).
		Scan(&rows, &bytes)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, h.failure("look at the history's size", err)
	}
	return rows, bytes, nil
}
