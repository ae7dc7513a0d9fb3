package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Kind says what a mutation does.
type Kind uint8

// The kinds of mutation. A Set merges fields into the ticket, and makes a ticket that the store does not hold. Only a Create
// promises that its fields are the whole ticket. A Begin is a create without that promise. The numbers are on disk.
const (
	Create Kind = iota + 1
	Set
	Delete
	Begin
)

// Creates says whether a mutation of this kind makes a new ticket. A create that is repeated under its request id is answered
// with the first create's ticket, also if the repetition proposes a different id.
func (k Kind) Creates() bool { return k == Create || k == Begin }

// Begun returns m as a Begin mutation, without the table's defaults. Use Begun if a client may already have received the id and
// changed the ticket: the defaults would overwrite the client's values, and the database gives the defaults to a new row by
// itself. At least one field stays, as only fields make a ticket dirty.
func (m *Mutation) Begun() Mutation {
	begun := *m
	begun.Kind = Begin
	begun.Fields = m.Fields[:max(len(m.Fields)-m.Defaults, min(len(m.Fields), 1))]
	begun.Defaults = 0
	return begun
}

// Mutation is one request to change one ticket.
type Mutation struct {
	Kind   Kind
	ID     ticket.ID
	Fields ticket.Fields
	// Defaults says how many of a Create's Fields, counted from the end, are the table's defaults, not the client's values; see
	// [Mutation.Begun].
	Defaults int
	// Proposed is the clock of the daemon that accepted the mutation; the store assigns max(previous + 1, Proposed).
	Proposed ticket.Revision
	// At is when the daemon accepted the mutation by the host's own clock, if that clock is far behind Proposed: after a clock was
	// ahead, revisions stay ahead of all clocks and no longer tell ages. Zero if Proposed is that time; see [Mutation.Dated].
	At ticket.Revision
	// Due is when the change must be flushed. A ticket that is already dirty keeps the earlier due time.
	Due time.Time
	// RequestID, if not empty, makes the mutation repeatable: the store remembers the id, and answers a repetition with the first
	// outcome, without a change.
	RequestID string
	// Remember is how long RequestID is remembered; zero means [RequestMemory], which is also the maximum.
	Remember time.Duration
	// IfRevision, if not zero, refuses the mutation with a [ConflictError] unless the ticket is at this revision.
	IfRevision ticket.Revision
	// MustExist refuses a Set or Delete with [ErrAbsent] if the store does not hold the ticket.
	MustExist bool
	// Digest identifies the request's content, so that the store refuses the same RequestID for a different request with
	// [ErrReused]. Empty without a RequestID, and in records of earlier versions, which match every digest.
	Digest string
	// Accepted, if not zero, is when a mutation that arrives late was acknowledged: a revision, which is a time in µs. Clients that
	// received the id of a create may have changed the ticket since; see [Mutation.Since]. A set or a deletion may belong to an
	// earlier ticket with the same id; see [Mutation.Predates]. [Unreceived] says that no client has received the id: the create
	// never joins an existing ticket, and the changes that follow the create belong to the create's ticket.
	Accepted ticket.Revision
	// RowBorn is the next place's answer about the id of a create that arrives late: since when, at the latest, the next place knows
	// a ticket with this id, alive or deleted; [ticket.MaxRevision] if the next place knows no such ticket; zero if the next place
	// was not asked or does not answer.
	RowBorn ticket.Revision
	// By names who made the change ("user:3", "peer:33"), and Via the part of the client that made it ("wp-admin"), for the feed.
	// Either may be empty; both are printable ASCII.
	By, Via string
	// Early asks for an answer as soon as the change is durable on this host, if the store has a journal.
	Early bool
}

// Unreceived is the [Mutation].Accepted of a create with an id that no client has received: a time later than any ticket.
const Unreceived = ticket.Ceiling

// LateSkew is by how much the clocks of hosts may differ, in µs, where a create that arrives late is compared with a ticket.
const LateSkew ticket.Revision = 10_000_000

// Dated returns when the mutation was accepted, in µs by the clock of the host that accepted the mutation. Ages are compared by
// this time.
func (m *Mutation) Dated() ticket.Revision {
	switch {
	case m.Accepted != 0 && m.Accepted != Unreceived:
		return m.Accepted
	case m.At != 0:
		return m.At
	}
	return m.Proposed
}

// AheadBy is by how much, in µs, revisions may be ahead of a host's clock and still tell the time of a change: a burst of changes
// uses the revisions of the next microseconds.
const AheadBy ticket.Revision = 1_000_000

// Given records the revision that a store gives the mutation. If that revision is ahead of the host's clock, because some clock
// was ahead earlier, At keeps the time at which the mutation was accepted.
func (m *Mutation) Given(revision ticket.Revision) {
	if m.At == 0 && revision > m.Proposed+AheadBy {
		m.At = m.Proposed
	}
}

// Since returns the time from which on, by the clocks, a ticket with the id of a late create may be the create's own ticket: made
// by a client that received the id. An older ticket is a different ticket. replayed says that a journal has acknowledged the
// mutation. Since returns zero for a create that comes directly: no client knows the id yet, so no existing ticket can be the
// create's own.
func (m *Mutation) Since(replayed bool) ticket.Revision {
	if !m.Kind.Creates() || (m.Accepted == 0 && !replayed) {
		return 0
	}
	if m.Accepted == Unreceived {
		return Unreceived - LateSkew
	}
	return max(m.Dated()-LateSkew, 1)
}

// Late returns when, by the clocks, a set or a deletion that arrives late was acknowledged. Late returns zero for a mutation that
// comes directly, and for a mutation that follows a create with a new id and so belongs to the new id's ticket. replayed is as in
// [Mutation.Since].
func (m *Mutation) Late(replayed bool) ticket.Revision {
	if m.Kind.Creates() || m.Accepted == Unreceived || (m.Accepted == 0 && !replayed) {
		return 0
	}
	return m.Dated()
}

// Predates says that a set or a deletion was acknowledged before a create made the ticket with the same id: the mutation belongs
// to an earlier ticket. late is the result of [Mutation.Late]; made is when the create was acknowledged, zero if no create is
// known. Predates makes no allowance for clocks that differ: a change that is set aside is not lost, but a wrong merge shows a
// customer's text to a different customer. If revisions are ahead of the clock by more than [AheadBy], some host's clock is
// wrong, and times prove no order.
func (m *Mutation) Predates(late, made ticket.Revision, ahead bool) bool {
	return !m.Kind.Creates() && late != 0 && late < made && !ahead
}

// Joins says whether a create that arrives late belongs to the ticket with the same id: nil, [ErrTaken], or [ErrUnsure]. since is
// the time from which on the store's ticket may be the create's own. born is when a mutation put the ticket into the store; zero
// if a row did, or if the store knows only the ticket's deletion. A set of an old row also puts a ticket into the store, and a
// client that received the id may have made a change that is a row now, so Joins asks the store and the next place.
func (m *Mutation) Joins(since, born ticket.Revision) error {
	switch {
	case since == 0, since == Unreceived, born != 0 && born < since, m.old():
		return ErrTaken
	case m.RowBorn == 0:
		return ErrUnsure
	}
	return nil
}

// old says that the next place knows a ticket too old to be a late create's own.
func (m *Mutation) old() bool { return m.RowBorn != 0 && m.RowBorn <= m.Since(true) }

// Free says whether a create can be made under an id that the store does not know: nil, [ErrTaken], or [ErrUnsure]. A create that
// arrives late is made also if the next place was not asked yet: the next place refuses the create if the row's revision is
// older. ahead says that revisions are ahead of the clocks by more than [AheadBy]: then the row's revision does not tell the
// row's age, and the next place must be asked.
func (m *Mutation) Free(ahead bool) error {
	switch {
	case m.old():
		return ErrTaken
	case ahead && m.RowBorn == 0 && m.Accepted != 0 && m.Accepted != Unreceived:
		return ErrUnsure
	}
	return nil
}

// RequestMemory is how long a store remembers a request id, unless the mutation asks for less.
const RequestMemory = 24 * time.Hour

// Entry is a mutation that a host has accepted and moves to the store afterwards.
type Entry struct {
	// Sequence grows from entry to entry of a journal. The store knows by Sequence which entries have arrived.
	Sequence uint64
	// Revision is the mutation's acknowledged revision. The store keeps this revision if possible.
	Revision ticket.Revision
	Mutation Mutation
}

// Outcome is the result of a mutation.
type Outcome struct {
	// ID is the changed ticket: for a repeated Create the first request's ticket.
	ID ticket.ID
	// Revision is the ticket's. Next to [ErrDeleted] or [ErrTaken] Revision is zero if the store does not hold the ticket: only a
	// tombstone (or, for a create, another program's key) is the reason for the refusal.
	Revision ticket.Revision
	// Err is nil if the mutation was made, or repeats a mutation that was made. [ErrDeleted], [ErrTaken], [ErrUnsure],
	// [ErrPredates], [ErrAbsent], [ErrReused], a [ConflictError] and errors that wrap [ErrForeign] or [ErrFull] mean that the
	// mutation was not made. An error that wraps [ErrUnavailable] means that the result is not known.
	Err error
}

// Record is a store's state of a ticket.
type Record struct {
	ID ticket.ID
	// Revision is zero if the store does not hold the ticket.
	Revision ticket.Revision
	// Full says that Fields are the whole ticket: a field that is not in Fields is NULL. Without Full such a field is unknown.
	Full bool
	// Deleted says that the ticket was deleted and the store still knows the deletion.
	Deleted bool
	// Dirty says that changes of the ticket are pending.
	Dirty bool
	// Since is as in [Claim], for a dirty ticket. If no place below has the ticket, the change at that time made the ticket.
	Since time.Time
	// Created is as in [Claim]: a row of this id from before that revision belongs to a different ticket. Zero without a pending
	// create.
	Created ticket.Revision
	// Born is when, by the clocks, the mutation that put the ticket into the store was accepted; zero if a row did.
	Born ticket.Revision
	// Had says that the next place had the ticket, which clean fields or Full do not show any more; see [Claim].Confirmed.
	Had bool
	// Behind says that a place which may hold newer changes of the ticket, or an apparently absent ticket, did not answer.
	Behind bool
	// Queued says that this host has pending changes that no other place has: these changes are newer than any row.
	Queued bool
	Fields ticket.Fields
	// Changed counts the fields at the beginning of Fields with changes that the next place does not have, those of a dead letter
	// included. The other fields are clean copies.
	Changed int
	// Stray are the fields that another program keeps under the ticket's key, in the program's own form; nil without such a key. The
	// store does not hold the ticket then, and the first change of the ticket takes over all of the fields.
	Stray ticket.Fields
	// Err wraps [ErrForeign] if this ticket alone cannot be read. The store then does not hold the ticket.
	Err error
}

// Held says whether the store holds the ticket.
func (r *Record) Held() bool { return r.Revision != 0 }

// Change puts a change over the record that the next place does not have.
func (r *Record) Change(f ticket.Field) {
	at := slices.IndexFunc(r.Fields, func(held ticket.Field) bool { return held.Name == f.Name })
	if at < 0 {
		at = len(r.Fields)
		r.Fields = append(r.Fields, f)
	}
	r.Fields[at].Value = f.Value
	if at >= r.Changed {
		r.Fields[at], r.Fields[r.Changed] = r.Fields[r.Changed], r.Fields[at]
		r.Changed++
	}
}

// Claim is a dirty ticket under a lease, to be flushed to the next place.
type Claim struct {
	ID ticket.ID
	// Revision is the ticket's, at least that of every field in Fields.
	Revision ticket.Revision
	// Fields are the fields that changed since the last ack.
	Fields ticket.Fields
	// Deleted says that the ticket was deleted since the last ack.
	Deleted bool
	// Created, if not zero, says that a create made the ticket and that the next place does not have this create yet: the revision
	// of the create, or [Mutation.Since] if other hosts may have changed the ticket before the create arrived in this store. A
	// ticket of this id that the next place has had since before that revision is a different ticket; the time already includes the
	// allowance for clocks.
	Created ticket.Revision
	// Due is the ticket's due time in the index before the lease.
	Due time.Time
	// Since is when the oldest pending change was made.
	Since time.Time
	// Partial says that Fields are only the oldest of the ticket's changes. The store may have gone back in time after these changes
	// were made, so the next place may be ahead of these changes and behind the newer changes: the older changes must be compared
	// with the next place on their own. The next claim has the rest.
	Partial bool
	// Last says that a Partial claim leaves no other change of the ticket, so that the next place has the ticket as it is under
	// Newest.
	Last bool
	// Newest is the ticket's own revision; above Revision only for a Partial claim.
	Newest ticket.Revision
	// All are all changed fields; more than Fields only for a Partial claim.
	All ticket.Fields
	// Confirmed says that the next place had the ticket, as far as the store knows: the store holds or has held the whole ticket, or
	// fields beside All, which the next place has confirmed or which were read there; or the ticket was a dead letter for the reason
	// that its row has vanished.
	Confirmed bool
	// Rest reads the fields that the store holds beside All: a claim does not read these fields, as few flushes need more than the
	// changes. A field may have changed since the claim. whole says that All and the returned fields are the whole ticket: every
	// other field is NULL.
	Rest func(ctx context.Context) (fields ticket.Fields, whole bool, err error)
}

// Follows says that the next place had the ticket before this change (Confirmed). If the next place has no such ticket now,
// another program has deleted the ticket, or the next place went back in time.
func (c *Claim) Follows() bool {
	return c.Created == 0 && !c.Deleted && c.Confirmed
}

// RevisionOnly says that the next place has all changes of the ticket already, and lacks the ticket's revision alone.
func (c *Claim) RevisionOnly() bool {
	return len(c.All) == 0 && len(c.Fields) == 0 && !c.Deleted && c.Created == 0
}

// Receipt says that the next place has a ticket's changes up to and including a revision.
type Receipt struct {
	ID       ticket.ID
	Revision ticket.Revision
	// Ahead says that the next place had a higher revision than the flush: the clean fields in the store may be older than the next
	// place's, and the store forgets the clean fields.
	Ahead bool
}

// Backlog counts pending tickets, dead letters and tombstones.
type Backlog struct {
	Dirty, Dead int64
	// Oldest is when the oldest pending change was made; zero without pending changes.
	Oldest time.Time
	// Buried counts the tombstones.
	Buried int64
}

// Tickets is the side of a store that requests use.
type Tickets interface {
	// Apply makes the mutations, each atomically, and returns an outcome per mutation, in the same order. A refused mutation (also
	// if the reason is a bound) does not stop the other mutations. An error counts for each mutation like the same error in an
	// outcome: after an error that wraps [ErrFull] no mutation was made; after any other error each mutation may have been made.
	Apply(ctx context.Context, mutations []Mutation) ([]Outcome, error)
	// Get returns a record per id, in the order of the ids.
	Get(ctx context.Context, ids []ticket.ID) ([]Record, error)
	// Fill completes clean tickets with rows read from the next place. Fill skips a row if the ticket has changed since the base was
	// read (the revision is no longer the revision in bases), is dirty, or is at a higher revision than the row.
	//
	// A deleted row leaves a tombstone, and a living row removes the tombstone.
	Fill(ctx context.Context, rows []Record, bases []ticket.Revision) error
	// Bury records that tickets are deleted in the next place: from then on the store refuses changes of a ticket that the store
	// does not hold, and creates under the ticket's id. Apply and Fill record deletions without Bury.
	Bury(ctx context.Context, ids []ticket.ID) error
}

// Make is Apply for a single mutation: the error is the error of the call or of the outcome.
func Make(ctx context.Context, tickets Tickets, m Mutation) (Outcome, error) {
	outcomes, err := tickets.Apply(ctx, []Mutation{m})
	if err != nil {
		return Outcome{}, err
	}
	return outcomes[0], outcomes[0].Err
}

// Queue is the side of a store that the flusher uses.
type Queue interface {
	// Claim takes up to limit tickets that are due at now, oldest due time first, and hides these tickets from other claims for the
	// time of lease.
	Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]Claim, error)
	// ClaimIDs takes the given tickets, due or not; clean tickets are left out.
	ClaimIDs(ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration) ([]Claim, error)
	// Ack removes the dirty marks of the fields with a revision of at most the receipt's. A ticket without dirty marks is clean.
	Ack(ctx context.Context, receipts []Receipt) error
	// Release gives claims back unflushed, with the due times from before the claim.
	Release(ctx context.Context, claims []Claim) error
	// Park takes tickets that the next place refuses out of the queue. A ticket that changed since the claim stays in the queue.
	Park(ctx context.Context, letters []ticket.Letter) error
	// DirtyIDs returns the tickets that were dirty and not parked throughout the call, in no order.
	DirtyIDs(ctx context.Context) ([]ticket.ID, error)
	// NextDue returns the earliest due time of the pending tickets, also of claimed ones, whose due time is the end of the lease;
	// zero without pending tickets. NextDue is the cheapest question to a queue that is likely to be empty.
	NextDue(ctx context.Context) (time.Time, error)
	// Backlog counts pending tickets and dead letters. Next to an error the Backlog may have the counts that are known.
	Backlog(ctx context.Context) (Backlog, error)
}

// DeadLetters is the side of a store that operators use for tickets that the next place refuses.
type DeadLetters interface {
	// Letters returns up to limit dead letters of tickets above after, by ticket id; fewer letters than limit are the last.
	Letters(ctx context.Context, after ticket.ID, limit int) ([]ticket.Letter, error)
	// Retry puts dead letters back into the queue, due at now, and returns the number of these tickets. Other tickets are skipped.
	Retry(ctx context.Context, now time.Time, ids []ticket.ID) (int, error)
	// Drop gives up the refused changes: the store forgets the tickets, so that the tickets are read from the next place again. Drop
	// returns the number of dropped tickets. Other tickets are skipped, also a ticket that a write has just changed.
	Drop(ctx context.Context, ids []ticket.ID) (int, error)
}

// Store is a place for tickets with changes that are pending for the next place. [storetest.Run] is the contract as tests.
type Store interface {
	Tickets
	Queue
	DeadLetters
}

var (
	// ErrUnavailable is wrapped by every error that means: the store does not answer now, a later retry makes sense.
	ErrUnavailable = errors.New("store unavailable")
	// ErrFull is wrapped when the store has no room for a change; pending changes can still be flushed.
	ErrFull = errors.New("store full")
	// ErrQuota is the ErrFull of a store that has room, but not for more dirty tickets of this site.
	ErrQuota = fmt.Errorf("too many tickets of the site wait for MySQL: %w", ErrFull)
	// ErrDeleted refuses a change of a ticket that was deleted.
	ErrDeleted = errors.New("the ticket was deleted")
	// ErrTaken refuses a create with the id of another ticket or of a deleted ticket.
	ErrTaken = errors.New("the id is taken by another ticket")
	// ErrUnsure refuses a create that arrives late until the next place has said whether the ticket with the same id is the create's
	// own; see [Mutation.RowBorn].
	ErrUnsure = errors.New("MySQL must say to which ticket the id belongs")
	// ErrPredates refuses a late set or deletion that was acknowledged before the ticket with the same id was created; see
	// [Mutation.Predates].
	ErrPredates = errors.New("the change was acknowledged before the ticket that has its id was created, so it means another ticket")
	// ErrAbsent refuses a mutation with MustExist of a ticket that the store does not hold; the next place may have the ticket.
	ErrAbsent = errors.New("the store does not hold the ticket")
	// ErrReused refuses a mutation if the request id was used before for a different request.
	ErrReused = errors.New("the request id belongs to another request")
	// ErrOwner is wrapped by every error that means: the place belongs to a different table, so the store read and changed no
	// ticket.
	ErrOwner = errors.New("the place belongs to another table")
	// ErrForeign is wrapped if another program has put a value that is no ticket into a ticket's place.
	ErrForeign = errors.New("not a ticket")
)

// StuckError says that changes stay in the journal because the next store answers but cannot make the changes. StuckError wraps
// [ErrUnavailable].
type StuckError struct {
	// Tickets counts the tickets of these changes; First is a ticket among them.
	Tickets int
	First   ticket.ID
	// Why is the next store's last answer about First.
	Why error
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("changes of %d tickets wait in this host's journal, as Redis cannot make them: ticket %d: %v",
		e.Tickets, e.First, e.Why)
}

func (e *StuckError) Unwrap() error { return ErrUnavailable }

// FullError is an [ErrFull] that says which bound was reached.
type FullError struct {
	// Bound is the bound's name: a setting of ticketd or of a server, or another resource that is used up.
	Bound string
	// Reason says, for the operator, why the bound was reached and how to make room.
	Reason string
}

func (e *FullError) Error() string { return e.Bound + " is used up: " + e.Reason }

// Unwrap makes every FullError an [ErrFull].
func (e *FullError) Unwrap() error { return ErrFull }

// FullReason says for the operator which bound an [ErrFull] is about, and how to make room; empty for other errors.
func FullReason(err error) string {
	var full *FullError
	switch {
	case errors.As(err, &full):
		return full.Error()
	case errors.Is(err, ErrFull):
		return err.Error()
	default:
		return ""
	}
}

// ConflictError refuses a conditional mutation: the ticket has moved on.
type ConflictError struct {
	Have ticket.Revision
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("the ticket is at revision %d", e.Have)
}
