// Package moves remembers which creates of a site got another id than the one their clients received, as that belongs to another
// ticket. A change that was acknowledged for the old id after such a create, and before the create got its new id, means the
// create's ticket, wherever and however long it waits.
//
// # Who writes and who asks
//
// The spool and the journal before Redis give a create another id. Each has it remembered here, on disk, before it drops the
// file or the journal's records that could tell of it. The spool asks for each change that it takes in; the status names them.
//
// # How long
//
// A move is kept for [KeptFor] after it was made, and longer while files of the site wait in the spool: what is put back there
// later goes to the ticket that it names. [maxMoves] bounds their number.
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
	// KeptFor is for how long a move is remembered.
	KeptFor = 30 * 24 * time.Hour
	// maxMoves bounds the moves that are remembered of a site, about 250 bytes each; beyond it the oldest are forgotten.
	maxMoves = 10_000
)

// Create names a create that was acknowledged under an id.
type Create struct {
	ID ticket.ID `json:"id"`
	// Request is its request id; it may be empty where the create came to a daemon.
	Request string `json:"request,omitempty"`
	// Since is when it was acknowledged.
	Since time.Time `json:"since"`
}

// is says that both are the same create under the same id.
func (c *Create) is(o *Create) bool {
	return c.ID == o.ID && c.Request == o.Request && c.Since.Equal(o.Since)
}

// follows says that both are the same create under different ids.
func (c *Create) follows(o *Create) bool {
	return c.Request == o.Request && (c.Request != "" || c.Since.Equal(o.Since))
}

// Move is a create that got another id.
type Move struct {
	Create

	// To is the id that it has now; zero as long as it is still to be made under another one.
	To ticket.ID `json:"to,omitempty"`
	// At is when it got that.
	At time.Time `json:"at,omitzero"`
	// Table is the identity of the table that the ids are of; empty where it has none.
	Table string `json:"table,omitempty"`
}

// record is a move that is remembered.
type record struct {
	Move

	stored bool // on disk as it is
}

// Options of a register.
type Options struct {
	// Path of the file; empty remembers nothing across restarts.
	Path string
	// Table is the identity of the site's table, and Owns says whether an identity is the table's; both optional.
	Table func() string
	Owns  func(identity string) bool
	Log   zerolog.Logger
}

// Register remembers the moves of one site. It is safe for concurrent use.
type Register struct {
	opts Options

	mu      sync.Mutex
	records []*record               // in the order in which they were heard of
	byID    map[ticket.ID][]*record // those of creates that were acknowledged under the id, likewise
	inUse   map[ticket.ID]int
	torn    bool // the file may end within a line
}

// New makes a register that reads nothing.
func New(opts Options) *Register {
	if opts.Table == nil {
		opts.Table = func() string { return "" }
	}
	if opts.Owns == nil {
		opts.Owns = func(string) bool { return true }
	}
	return &Register{opts: opts, byID: map[ticket.ID][]*record{}, inUse: map[ticket.ID]int{}}
}

// Open makes a register of what its file remembers.
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
		return nil, fmt.Errorf("which new tickets got another id cannot be read: %w", err)
	}
	for line := range bytes.Lines(text) {
		var m Move
		if err := json.Unmarshal(line, &m); err != nil { // a crash, or a full disk, has cut it off: it was not acknowledged
			r.torn = true
			opts.Log.Warn().Err(err).Str("file", opts.Path).Msg("a line cannot be read and is left out")
			continue
		}
		r.note(&m).stored = true
	}
	r.torn = r.torn || (len(text) > 0 && text[len(text)-1] != '\n')
	return r, nil
}

// Begin notes, before a create is made under another id than its client was told, that this is to be: if the daemon ends then,
// its repetition is known for what it is.
func (r *Register) Begin(c Create) error { return r.Keep(Move{Create: c}) }

// Find says whether a create gets, or has got, another id, as far as the disk knows; to is zero before that is known.
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

// Keep remembers a move. It may be repeated; an error says that it is remembered in memory alone.
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
			Msg("too many new tickets got another id: changes in the spool of the first of them are not told from other tickets' any more")
		r.forget(func(at int, _ *record) bool { return at < maxMoves/10 })
		return r.rewrite()
	}
	return r.store(kept)
}

// note takes a move up; one that is known keeps its time. The caller holds the lock, but in Open.
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
		return fmt.Errorf("that a new ticket got another id cannot be written down: %w", err)
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
			return fmt.Errorf("which new tickets got another id cannot be written down: %w", err)
		}
	}
	r.torn = false
	for _, known := range r.records {
		known.stored = true
	}
	return nil
}

// owns says whether a record is of the site's table.
func (r *Register) owns(known *record) bool { return known.Table == "" || r.opts.Owns(known.Table) }

// Use returns the ticket that a change means which was acknowledged for an id at a time, and keeps that ticket from getting
// another id until done is called: the change is made meanwhile.
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

// find returns the ticket that a change means. The caller holds the lock.
func (r *Register) find(id ticket.ID, at time.Time) ticket.ID {
	var newest *record
	for _, known := range r.byID[id] { // of several creates under the id the last before the change is meant
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

// Targets returns the ids that creates under an id have got instead, as they are now.
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

// now is the id that a create has now, which may have got another one more than once. The caller holds the lock.
func (r *Register) now(of *record) ticket.ID {
	to := of.To
	for range r.records { // more often than that it goes round in a circle
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

var errInUse = errors.New("a change of it is being taken in from the spool")

// Moving runs replace, which gives the ticket of an id another one, at a moment at which no change that was acknowledged for the
// id is being made. It fails at once where one is.
func (r *Register) Moving(id ticket.ID, replace func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.inUse[id] > 0 {
		return errInUse
	}
	return replace()
}

// Settled says that no file of the site's that is older than a time waits in the spool: what is older than [KeptFor] then is
// forgotten.
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
		r.opts.Log.Warn().Err(err).Msg("old moves stay on disk until the next is written")
		r.torn = true
	}
}

// Since returns the moves that were made after a time, with the ids that the tickets have now, in the order in which they were
// made.
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
