// Package moves remembers which creates of a site got another id than their clients received, because that id belongs to
// another ticket. A change for the old id, acknowledged after such a create and before the create got its new id, is a change
// of the create's ticket, wherever and however long the change waits.
//
// # Who writes and who reads
//
// The spool and the journal before Redis give creates other ids. Each records the move here, on disk, before the spool
// removes the file, or the journal drops the records, of the create. The spool looks up each change that it ingests; the
// status lists the moves.
//
// # How long
//
// A move is kept for [KeptFor], and longer while files of the site wait in the spool. A file put back into the spool later
// goes to the ticket that the file names. [maxMoves] bounds the number of moves.
package moves

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/ticket"
)

const (
	// KeptFor is how long a move is remembered.
	KeptFor = 30 * 24 * time.Hour
	// maxMoves bounds the remembered moves of a site, about 250 bytes each; beyond the bound the oldest are dropped.
	maxMoves = 10_000
)

// Create identifies a create that was acknowledged under an id.
type Create struct {
	ID ticket.ID `json:"id"`
	// Request is the create's request id; a create on a connection may have none.
	Request string `json:"request,omitempty"`
	// Since is the time of the acknowledgement.
	Since time.Time `json:"since"`
}

// is returns whether c and o are the same create under the same id.
func (c *Create) is(o *Create) bool {
	return c.ID == o.ID && c.Request == o.Request && c.Since.Equal(o.Since)
}

// follows returns whether c and o are the same create under different ids.
func (c *Create) follows(o *Create) bool {
	return c.Request == o.Request && (c.Request != "" || c.Since.Equal(o.Since))
}

// Move is a create that got another id.
type Move struct {
	Create

	// To is the new id; zero until the create is made under a new id.
	To ticket.ID `json:"to,omitempty"`
	// At is when the create got the new id.
	At time.Time `json:"at,omitzero"`
	// Table is the identity of the ids' table; empty for a table without an identity.
	Table string `json:"table,omitempty"`
}

// record is a remembered move.
type record struct {
	Move

	stored bool // on disk in this state
}

// Options of a register.
type Options struct {
	// Path of the file; empty keeps moves in memory only.
	Path string
	// Table returns the identity of the site's table, and Owns whether an identity belongs to the table; both optional.
	Table func() string
	Owns  func(identity string) bool
	Log   zerolog.Logger
}

// Register remembers the moves of a site. All methods are safe for concurrent use.
type Register struct {
	opts Options

	mu      sync.Mutex
	records []*record               // in order of arrival
	byID    map[ticket.ID][]*record // by the id under which the create was acknowledged, in order of arrival
	inUse   map[ticket.ID]int
	torn    bool // the file may end within a line
}

// New returns a register that reads no file.
func New(opts Options) *Register {
	if opts.Table == nil {
		opts.Table = func() string { return "" }
	}
	if opts.Owns == nil {
		opts.Owns = func(string) bool { return true }
	}
	return &Register{opts: opts, byID: map[ticket.ID][]*record{}, inUse: map[ticket.ID]int{}}
}

// Open returns a register with the moves in its file.
func Open(opts Options) (*Register, error) {
	r := New(opts)
	if opts.Path == "" {
		return r, nil
	}
	text, err := os.ReadFile(opts.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read which new tickets got another id: %w", err)
	}
	for line := range bytes.Lines(text) {
		var m Move
		if err := json.Unmarshal(line, &m); err != nil { // cut off by a crash or a full disk: never acknowledged
			r.torn = true
			opts.Log.Warn().Err(err).Str("file", opts.Path).Msg("skipped an unreadable line")
			continue
		}
		r.note(&m).stored = true
	}
	r.torn = r.torn || (len(text) > 0 && text[len(text)-1] != '\n')
	return r, nil
}

// Begin records the intention, before a create is made under another id than its client received: if the daemon ends
// meanwhile, the next daemon recognizes the repetition of the create.
func (r *Register) Begin(c Create) error { return r.Keep(Move{Create: c}) }

// Find returns whether a create gets, or has got, another id, by the records on disk; to is zero until the new id is known.
func (r *Register) Find(c Create) (to ticket.ID, begun bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.byID[c.ID] {
		if known.is(&c) && r.owns(known) {
			if known.stored {
				to = known.To
			}
			return to, known.stored || known.To != 0
		}
	}
	return 0, false
}

// Keep remembers a move. Keep may be repeated; after an error the move is in memory only.
func (r *Register) Keep(m Move) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	m.Table = r.opts.Table()
	if m.To != 0 && m.At.Before(m.Since) { // the clock was set back
		m.At = m.Since
	}
	kept := r.note(&m)
	if kept.stored {
		return nil
	}
	if len(r.records) > maxMoves {
		r.opts.Log.Error().Int("moves", len(r.records)).
			Msg("too many new tickets got another id: changes in the spool for the oldest of them now go to the tickets with the old ids")
		r.forget(func(at int, _ *record) bool { return at < maxMoves/10 })
		return r.rewrite()
	}
	return r.store(kept)
}

// note adds a move; a known move keeps its time. The caller holds the lock, except in Open.
func (r *Register) note(m *Move) *record {
	for _, known := range r.byID[m.ID] {
		isSame := known.is(&m.Create) || (m.To != 0 && known.To == m.To) // no id is given twice
		if !isSame || (known.Table != m.Table && known.Table != "" && m.Table != "") {
			continue
		}
		if m.To != 0 && m.To != known.To {
			known.Move, known.stored = *m, false
		}
		return known
	}
	added := &record{Move: *m}
	r.records = append(r.records, added)
	r.byID[m.ID] = append(r.byID[m.ID], added)
	return added
}

// forget drops records. The caller holds the lock.
func (r *Register) forget(drop func(at int, known *record) bool) {
	old := r.records
	r.records, r.byID = nil, map[ticket.ID][]*record{}
	for at, known := range old {
		if !drop(at, known) {
			r.records = append(r.records, known)
			r.byID[known.ID] = append(r.byID[known.ID], known)
		}
	}
}

// store appends a record to the file. The caller holds the lock.
func (r *Register) store(of *record) error {
	if r.opts.Path == "" {
		of.stored = true
		return nil
	}
	if r.torn {
		return r.rewrite()
	}
	line, err := json.Marshal(of.Move)
	if err != nil {
		return err
	}
	const ownerOnly = 0o600
	file, err := os.OpenFile(r.opts.Path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, ownerOnly)
	if err == nil {
		_, err = file.Write(append(line, '\n'))
		err = errors.Join(err, file.Sync(), file.Close())
	}
	if r.torn = err != nil; r.torn {
		return fmt.Errorf("cannot record that a new ticket got another id: %w", err)
	}
	of.stored = true
	return nil
}

// rewrite writes all records. The caller holds the lock.
func (r *Register) rewrite() error {
	var text []byte
	for _, known := range r.records {
		line, err := json.Marshal(known.Move)
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
	}
	if r.opts.Path != "" {
		if err := site.Keep(r.opts.Path, text); err != nil {
			return fmt.Errorf("cannot record which new tickets got another id: %w", err)
		}
	}
	r.torn = false
	for _, known := range r.records {
		known.stored = true
	}
	return nil
}

// owns returns whether a record belongs to the site's table.
func (r *Register) owns(known *record) bool { return known.Table == "" || r.opts.Owns(known.Table) }

// Use returns the ticket of a change that was acknowledged for an id at a time. Until the caller calls done, after making the
// change, that ticket keeps its id.
func (r *Register) Use(id ticket.ID, at time.Time) (now ticket.ID, done func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now = r.find(id, at)
	r.inUse[now]++
	return now, func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.inUse[now]--; r.inUse[now] == 0 {
			delete(r.inUse, now)
		}
	}
}

// find returns the ticket of a change. The caller holds the lock.
func (r *Register) find(id ticket.ID, at time.Time) ticket.ID {
	var newest *record
	for _, known := range r.byID[id] { // of several creates under the id, the last before the change counts
		within := known.To != 0 && !at.Before(known.Since) && !at.After(known.At)
		if within && (newest == nil || !known.Since.Before(newest.Since)) && r.owns(known) {
			newest = known
		}
	}
	if newest == nil {
		return id
	}
	return r.now(newest)
}

// Targets returns the present ids of the creates that were acknowledged under an id and moved.
func (r *Register) Targets(id ticket.ID) (targets []ticket.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, known := range r.byID[id] {
		if known.To != 0 && r.owns(known) {
			targets = append(targets, r.now(known))
		}
	}
	return targets
}

// now returns a create's present id; a create may move more than once. The caller holds the lock.
func (r *Register) now(of *record) ticket.ID {
	to := of.To
	for range r.records { // more steps would be a circle
		next := slices.IndexFunc(r.byID[to], func(known *record) bool {
			return known.To != 0 && known.follows(&of.Create) && r.owns(known)
		})
		if next < 0 {
			break
		}
		to = r.byID[to][next].To
	}
	return to
}

var errInUse = errors.New("a change of the ticket is being ingested from the spool")

// Moving runs replace, which gives the ticket with an id another id, while no change acknowledged for the id is being made.
// If such a change is in work, Moving fails at once.
func (r *Register) Moving(id ticket.ID, replace func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inUse[id] > 0 {
		return errInUse
	}
	return replace()
}

// Settled reports that no file of the site older than a time waits in the spool. Moves that were then older than [KeptFor]
// are dropped.
func (r *Register) Settled(at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	limit := at.Add(-KeptFor)
	old := func(known *record) bool { return known.Since.Before(limit) && known.At.Before(limit) }
	if !slices.ContainsFunc(r.records, old) {
		return
	}
	r.forget(func(_ int, known *record) bool { return old(known) })
	if err := r.rewrite(); err != nil {
		r.opts.Log.Warn().Err(err).Msg("old moves stay on disk until the next write")
		r.torn = true
	}
}

// Since returns the moves made after a time, with the tickets' present ids, in order of arrival.
func (r *Register) Since(at time.Time) []Move {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []Move
	for _, known := range r.records {
		if known.To != 0 && known.At.After(at) && r.owns(known) {
			m := known.Move
			m.To = r.now(known)
			found = append(found, m)
		}
	}
	return found
}
