package mysql

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// Sink writes changes to the tickets table; the package comment says how.
type Sink struct {
	db                    *DB
	statements, conflicts atomic.Int64
	// lone says that a row was refused with an answer that may be an outage's, and that no row has been stored since.
	lone    atomic.Bool
	misfits misfits
}

var _ flush.Sink = (*Sink)(nil)

// NewSink makes the sink of a database.
func NewSink(db *DB) *Sink { return &Sink{db: db} }

// Conflicts returns how often a statement met a deadlock, or waited for another client's lock in vain.
func (s *Sink) Conflicts() int64 { return s.conflicts.Load() }

// Statements returns the number of statements that have written tickets so far.
func (s *Sink) Statements() int64 { return s.statements.Load() }

// Write implements [flush.Sink]. Write first reads the definition if it is not known, or if a statement has met another table
// since (with [flush.ErrSinkPaused]). If the database refuses rows for their data, the table may differ from the definition that
// shaped the statements: Write reads the definition again and, if the definition has changed, tries the refused rows once more.
func (s *Sink) Write(ctx context.Context, changes []store.Claim) ([]flush.Result, error) {
	d, err := s.db.known(ctx)
	if err != nil {
		return nil, err
	}
	results, err := s.write(ctx, d, changes)
	if err != nil {
		return nil, err
	}
	refused := refusedByData(results)
	if len(refused) == 0 {
		return results, nil
	}
	now := s.db.Reread(ctx, d)
	if now == nil {
		return results, nil
	}
	second := make([]store.Claim, len(refused))
	for i, at := range refused {
		second[i] = changes[at]
	}
	again, err := s.write(ctx, now, second)
	if err != nil {
		return nil, err
	}
	for i, at := range refused {
		results[at] = again[i]
	}
	return results, nil
}

// refusedByData returns which changes were refused for their data. For a change that is too large, a new definition does not
// help.
func refusedByData(results []flush.Result) []int {
	var refused []int
	for i := range results {
		if r := results[i].Refused; r != nil && r.Code != errPacketTooLarge {
			refused = append(refused, i)
		}
	}
	return refused
}

// write writes the changes as the definition lays them out.
func (s *Sink) write(ctx context.Context, d *table.Definition, changes []store.Claim) ([]flush.Result, error) {
	packet, err := s.maxPacket(ctx)
	if err != nil {
		return nil, err
	}
	w := &write{db: s.db, statements: &s.statements, conflicts: &s.conflicts, lone: &s.lone, misfits: &s.misfits, packet: packet}
	w.results = make([]flush.Result, len(changes))
	w.locate = w.held
	p, err := w.plan(ctx, d, changes)
	if err != nil {
		return nil, err
	}
	w.definition = p.definition
	for _, g := range p.groups {
		if err := w.group(ctx, g); err != nil {
			return nil, err
		}
	}
	if len(p.deletions) > 0 {
		if err := w.delete(ctx, p.deletions); err != nil {
			return nil, err
		}
	}
	if err := w.settleUnfit(); err != nil {
		return nil, err
	}
	return w.results, w.raise(ctx, changes)
}

// raise gives the rows of tickets whose last old changes were written the tickets' own revisions, which readers may have met in
// the store: a later look at the row must not show an earlier revision.
func (w *write) raise(ctx context.Context, changes []store.Claim) error {
	query := raising(w.definition)
	for i := range changes {
		c, result := &changes[i], &w.results[i]
		switch {
		case c.RevisionOnly():
			*result = flush.Result{Revision: c.Newest, Ahead: true} // the row may have a higher revision, or be gone
		case !c.Last || result.Revision < c.Revision || result.Revision >= c.Newest:
			continue
		}
		done, err := w.exec(ctx, w.db.pool, query, int64(c.Newest), int64(c.ID), int64(c.Newest))
		switch judge(err) {
		case fine:
			if n, err := done.RowsAffected(); err == nil && n > 0 {
				result.Revision = c.Newest
			}
		case conflict:
			w.leave([]row{{id: c.ID, at: i}}, err)
		case data: // a trigger keeps the row as it is
		default:
			return w.db.failure("raise the revision of a row", err)
		}
	}
	return nil
}

// raising returns the UPDATE of a living ticket's revision, of which only the revision, the id and the revision again are left.
func raising(d *table.Definition) string {
	into, key, column, alive := d.Table, d.Key, d.Revision, ""
	if i, there := d.Position(d.DeletedAt); there {
		alive = " AND " + present(&d.Columns[i])
	}
	if d.Side != "" {
		into, key, column, alive = d.Side, sideKeyColumn, sideRevisionColumn, " AND deleted=0"
	}
	return "UPDATE " + quote(into) + " SET " + quote(column) + "=? WHERE " + quote(key) + "=? AND " + quote(column) + "<?" + alive
}

// maxPacket returns the largest statement that the server accepts, in bytes.
func (s *Sink) maxPacket(ctx context.Context) (int, error) {
	if n := s.db.packet.Load(); n > 0 {
		return int(n), nil
	}
	var n int64
	if err := s.db.pool.QueryRowContext(ctx, "SELECT @@max_allowed_packet").Scan(&n); err != nil {
		return 0, s.db.failure("read max_allowed_packet", err)
	}
	s.db.packet.Store(n)
	return int(n), nil
}

// write is a call of [Sink.Write] under way.
type write struct {
	db         *DB
	definition *table.Definition
	statements *atomic.Int64
	conflicts  *atomic.Int64
	packet     int
	results    []flush.Result
	// vanished are rows of a batch that were missing after the batch: each row gets one more attempt, alone.
	vanished []row
	// locate returns which of the rows other clients hold locked. Optional.
	locate func(ctx context.Context, rows []row) (map[ticket.ID]bool, error)
	// lone and misfits are the sink's.
	lone    *atomic.Bool
	misfits *misfits
	// unfit are rows that the server does not take, by its own words for lack of room; taken says that the server has stored other
	// rows.
	unfit []unfit
	taken bool
	// The batch under way: waits counts its lock waits; rowless are its statements without a row; doubted are the rows that the
	// server refuses with an answer that may be an outage's; looked says that the definition was read again, and passed that a row
	// was stored.
	waits          int
	rowless        []string
	doubted        []doubted
	looked, passed bool
}

// plan lays out the changes. A field without a column may mean that the definition is older than another daemon's, which
// accepted the field, so plan reads the definition again, once, before the change is refused.
func (w *write) plan(ctx context.Context, d *table.Definition, changes []store.Claim) (*plan, error) {
	gone, err := w.gone(ctx, d, changes)
	if err != nil {
		return nil, err
	}
	for fresh := false; ; fresh = true {
		p := &plan{
			definition: d, byShape: make(map[string]*group), gone: gone, now: ticket.Revision(time.Now().UnixMicro()),
		}
		clear(w.results)
		unplaced := false
		for i := range changes {
			if changes[i].RevisionOnly() {
				continue // for [write.raise]
			}
			if gone[changes[i].ID].unread {
				continue // a result without a revision: the flusher claims the change again
			}
			c := marked(changes[i], d)
			field := p.add(i, &c)
			if field == "" {
				continue
			}
			unplaced = true
			w.results[i].Refused = &flush.Refusal{
				Code:   errUnknownColumn,
				Reason: fmt.Sprintf("the table has no column for the field %q and none for extra fields", field),
			}
		}
		if !unplaced || fresh {
			return p, nil
		}
		if d, err = w.db.LoadDefinition(ctx); err != nil {
			return nil, err
		}
	}
}

// marked makes sure that a deletion carries its mark, and only its mark: earlier changes no longer matter, and the table may
// refuse their values. When the deletion was accepted, the table may have had no column for the mark. The deletion's revision is
// a time, which makes the mark the same at every attempt.
func marked(c store.Claim, d *table.Definition) store.Claim {
	if !c.Deleted || d.DeletedAt == "" {
		return c
	}
	mark, _ := d.SoftDelete(time.UnixMicro(int64(c.Revision)))
	for i, f := range mark {
		if given, there := c.Fields.Get(f.Name); there && !given.IsNull() {
			mark[i].Value = given
		}
	}
	c.Fields = mark
	return c
}

// stored records that the ticket is in the database at the revision.
func (w *write) stored(r *row, revision ticket.Revision) {
	w.results[r.at] = flush.Result{Revision: revision}
}

// refuse records that the table does not take the ticket. If the ticket was deleted before its create arrived, another ticket's
// row does not matter: no change is left to write.
func (w *write) refuse(r *row, reason *flush.Refusal) {
	if r.deletion && r.floor != 0 && reason.Code == errDuplicate {
		w.stored(r, r.revision)
		return
	}
	w.results[r.at] = flush.Result{Refused: reason}
}
