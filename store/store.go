package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Kind says what a mutation does.
type Kind uint8

// The kinds of mutation. A Set merges fields into the ticket and makes it where the store does not hold it; only a Create
// promises that its fields are the whole ticket. A Begin is a create that cannot promise it. The numbers are on disk.
const (
	Create Kind = iota + 1
	Set
	Delete
	Begin
)

// Creates says whether a mutation of this kind makes a new ticket: one that is repeated under its request id answers the ticket
// that the first has made, whatever id the repetition proposes.
func (k Kind) Creates() bool { return k == Create || k == Begin }

// Begun is a create as it is made where others may have been told the id and have changed the ticket by now, in whatever place
// their changes are: without the table's defaults, which would replace theirs, and which the database itself gives to a new row.
// One field stays in any case, as it is fields that make a ticket dirty.
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
	// Defaults says how many of a Create's Fields, the last ones, are the table's defaults, which nobody has given; see
	// [Mutation.Begun].
	Defaults int
	// Proposed is the accepting daemon's clock; the store assigns max(previous + 1, Proposed).
	Proposed ticket.Revision
	// At is when the daemon accepted the mutation by the host's own clock, where that is far behind Proposed: revisions stay ahead
	// of all clocks once one was ahead, and say nothing of ages then. Zero where Proposed says it; see [Mutation.Dated].
	At ticket.Revision
	// Due is when the change must be flushed. A ticket that is dirty already keeps the earlier of its due times.
	Due time.Time
	// RequestID, where it is not empty, makes the mutation repeatable: the store remembers it and answers a repetition with
	// the outcome of the first, changing nothing.
	RequestID string
	// Remember is how long RequestID is remembered; zero stands for [RequestMemory], which is also the most.
	Remember time.Duration
	// IfRevision, where it is not zero, refuses the mutation with a [ConflictError] unless the ticket is at this revision.
	IfRevision ticket.Revision
	// MustExist refuses a Set or Delete with [ErrAbsent] where the store does not hold the ticket.
	MustExist bool
	// Digest identifies what the request asks for, so that RequestID used again for something else is refused with
	// [ErrReused]. Empty where RequestID is, and in records of earlier versions, which match every digest.
	Digest string
	// Accepted, where it is not zero, is when a mutation was acknowledged that reaches the store only now: a revision, which is a
	// time in µs. Clients that received the id of a create may have changed the ticket since; see [Mutation.Since]. A set or a
	// deletion may be of an earlier ticket than the one that has the id; see [Mutation.Predates]. [Unreceived] says that no
	// client has received the id: the create never joins a ticket that exists, and what follows it is of its ticket.
	Accepted ticket.Revision
	// RowBorn is what the next place says of the id of a create that arrives late: since when, at the latest, it knows a ticket of
	// this id, alive or deleted; [ticket.MaxRevision]: it knows none. Zero: it was not asked, or does not answer.
	RowBorn ticket.Revision
	// Early asks for an answer as soon as the change is durable on this host, where the store has such a place.
	Early bool
}

// Unreceived is the [Mutation].Accepted of a create with an id that no client has received: it is later than any ticket.
const Unreceived = ticket.Ceiling

// LateSkew is by how much the clocks of hosts may differ where a create that arrives late is compared with what it meets, in µs.
const LateSkew ticket.Revision = 10_000_000

// Dated returns when the mutation was accepted by the clock of the host that did, in µs: what ages are compared by.
func (m *Mutation) Dated() ticket.Revision {
	switch {
	case m.Accepted != 0 && m.Accepted != Unreceived:
		return m.Accepted
	case m.At != 0:
		return m.At
	}
	return m.Proposed
}

// AheadBy is by how much revisions may be ahead of a host's clock and still say when something was made, in µs: a burst of
// changes takes the revisions of some microseconds to come.
const AheadBy ticket.Revision = 1_000_000

// Given notes the revision that a store gives the mutation: where it is ahead of the host's clock, as a clock that was ahead left
// it, At says when the mutation was accepted.
func (m *Mutation) Given(revision ticket.Revision) {
	if m.At == 0 && revision > m.Proposed+AheadBy {
		m.At = m.Proposed
	}
}

// Since returns from when on, by the clocks, a ticket that has the id of a late create may be that create's own: a client that
// received the id has made it. A ticket that is older is another one. replayed says that a journal has acknowledged the mutation.
// Since returns zero for a create that comes directly, of which no client knows, so that no existing ticket can be its own.
func (m *Mutation) Since(replayed bool) ticket.Revision {
	if !m.Kind.Creates() || (m.Accepted == 0 && !replayed) {
		return 0
	}
	if m.Accepted == Unreceived {
		return Unreceived - LateSkew
	}
	return max(m.Dated()-LateSkew, 1)
}

// Late returns when, by the clocks, a set or a deletion was acknowledged that arrives late; zero where it comes directly, or
// follows a create that got another id, so that it is of the ticket that has that id. replayed is as in [Mutation.Since].
func (m *Mutation) Late(replayed bool) ticket.Revision {
	if m.Kind.Creates() || m.Accepted == Unreceived || (m.Accepted == 0 && !replayed) {
		return 0
	}
	return m.Dated()
}

// Predates says that a set or a deletion was acknowledged before a create made the ticket that has its id: it means another
// ticket. late is as [Mutation.Late] returns it, made when the create was acknowledged, zero where no create is known. Clocks
// that differ get no allowance: a change that is set aside is not lost, one that is merged shows the text of one customer to
// another. Where revisions are ahead of the clock by more than [AheadBy] some host's clock is wrong, and times prove nothing.
func (m *Mutation) Predates(late, made ticket.Revision, ahead bool) bool {
	return !m.Kind.Creates() && late != 0 && late < made && !ahead
}

// Joins says whether a create that arrives late is of the ticket that has its id: nil, [ErrTaken], or [ErrUnsure]. since is from
// when on the store's ticket may be its own, and born when a mutation began to hold it there; zero where a row did, or where the
// store knows nothing of the ticket but its deletion. A set of an old row begins to hold a ticket, too, and what a client that
// received the id has changed may be a row by now, so both must be asked.
func (m *Mutation) Joins(since, born ticket.Revision) error {
	switch {
	case since == 0, since == Unreceived, born != 0 && born < since, m.old():
		return ErrTaken
	case m.RowBorn == 0:
		return ErrUnsure
	}
	return nil
}

// old says that the next place knows a ticket that is too old to be a late create's own.
func (m *Mutation) old() bool { return m.RowBorn != 0 && m.RowBorn <= m.Since(true) }

// Free says whether a create can be made under an id that the store knows nothing of: nil, [ErrTaken], or [ErrUnsure]. A create
// that arrives late and comes before the next place was asked is made: that refuses it where the row's revision is older. ahead
// says that revisions are ahead of the clocks by more than [AheadBy], so that the row's says nothing of its age: then the next
// place must be asked.
func (m *Mutation) Free(ahead bool) error {
	switch {
	case m.old():
		return ErrTaken
	case ahead && m.RowBorn == 0 && m.Accepted != 0 && m.Accepted != Unreceived:
		return ErrUnsure
	}
	return nil
}

// RequestMemory is how long a store remembers a request id, unless the mutation says less.
const RequestMemory = 24 * time.Hour

// Entry is a mutation that was accepted on one host and is brought to the store afterwards.
type Entry struct {
	// Sequence grows from entry to entry of one journal: it says what has arrived.
	Sequence uint64
	// Revision is the one under which the mutation was acknowledged. The store keeps it where it can.
	Revision ticket.Revision
	Mutation Mutation
}

// Outcome is what became of one mutation.
type Outcome struct {
	// ID is the ticket that was changed: for a repeated Create the one that the first request made.
	ID ticket.ID
	// Revision is the ticket's. Next to [ErrDeleted] or [ErrTaken] it is zero where the store does not hold the ticket: the refusal
	// rests on a tombstone alone (or, of a create, on somebody else's key).
	Revision ticket.Revision
	// Err is nil where the mutation was made, or repeats one that was. [ErrDeleted], [ErrTaken], [ErrUnsure],
	// [ErrPredates], [ErrAbsent], [ErrReused], a [ConflictError] and errors that wrap [ErrForeign] or [ErrFull] mean that it was
	// not made; one that wraps [ErrUnavailable], that this is not known.
	Err error
}

// Record is what a store holds of one ticket.
type Record struct {
	ID ticket.ID
	// Revision is zero where the store does not hold the ticket.
	Revision ticket.Revision
	// Full says that Fields are the whole ticket: a field that is not among them is NULL. Otherwise it is unknown.
	Full bool
	// Deleted says that the ticket was deleted and the deletion is still known here.
	Deleted bool
	// Dirty says that changes of the ticket wait to be flushed.
	Dirty bool
	// Since is as in [Claim], of a dirty ticket: where no place below has the ticket, that change made it.
	Since time.Time
	// Created is as in [Claim]: a row of this id from before that revision is another ticket's. Zero where no create waits.
	Created ticket.Revision
	// Born is when, by the clocks, a mutation was accepted that made what the store holds; zero where a row did.
	Born ticket.Revision
	// Behind says that a place did not answer that may hold newer changes of the ticket, or a ticket that seems absent.
	Behind bool
	// Queued says that changes wait on this host that no other place has: they are newer than any row.
	Queued bool
	Fields ticket.Fields
	// Stray is what another program keeps under the ticket's name, in its own form; nil where there is no such thing. The
	// store does not hold the ticket then, and the first change of the ticket takes all of it over.
	Stray ticket.Fields
	// Err is set where this ticket alone cannot be read: it wraps [ErrForeign]. The store then holds nothing of it.
	Err error
}

// Held says whether the store holds the ticket at all.
func (r *Record) Held() bool { return r.Revision != 0 }

// Claim is one dirty ticket, taken under a lease: what must be brought to the next place.
type Claim struct {
	ID ticket.ID
	// Revision is the ticket's, at least that of every field in Fields.
	Revision ticket.Revision
	// Fields are those that changed since the last ack.
	Fields ticket.Fields
	// Deleted says that the ticket was deleted since the last ack.
	Deleted bool
	// Created, where it is not zero, says that the ticket was made by a create that the next place does not have yet: the revision
	// of the create, or [Mutation.Since] where other hosts may have changed the ticket before it came here. A ticket of this id
	// that the next place holds from before that revision is another one; no further allowance for clocks is due.
	Created ticket.Revision
	// Due is when the ticket had to be flushed, as it stood in the index before the lease.
	Due time.Time
	// Since is when the oldest change that waits was made.
	Since time.Time
	// Partial says that these are only the oldest of the ticket's changes. The store may have gone back in time after they
	// were made, so the next place may be ahead of them though it is behind the newer ones: they must be compared with it
	// on their own. The rest is there at the next claim.
	Partial bool
	// Newest is the ticket's own revision; above Revision for a Partial claim alone.
	Newest ticket.Revision
	// All are the fields that changed whenever that was; more than Fields for a Partial claim alone.
	All ticket.Fields
	// Confirmed says that the store holds the whole ticket, or fields beside All: the next place has confirmed these fields, or they
	// were read there.
	Confirmed bool
	// Rest reads the fields that the store holds beside All: a claim does not read them, as few flushes need them. A field may have
	// changed since the claim. whole says that All and these fields are the whole ticket: a field that is in neither is NULL.
	Rest func(ctx context.Context) (fields ticket.Fields, whole bool, err error)
}

// Follows says that the next place had the ticket before this change: the store holds something that was flushed or read there.
// Where the next place has no such ticket, another program has deleted it, or the next place went back in time.
func (c *Claim) Follows() bool {
	return c.Created == 0 && !c.Deleted && c.Confirmed
}

// Receipt says that the next place has a ticket's changes up to and including a revision.
type Receipt struct {
	ID       ticket.ID
	Revision ticket.Revision
	// Ahead says that the next place had a higher revision than what was brought: what the store holds of the ticket as
	// clean may be older than that, and is forgotten.
	Ahead bool
}

// Backlog counts what waits.
type Backlog struct {
	Dirty, Dead int64
	// Oldest is when the oldest waiting change was made; zero where nothing waits.
	Oldest time.Time
	// NextDue is the earliest due time; zero where nothing waits.
	NextDue time.Time
	// Buried counts the tombstones.
	Buried int64
}

// Tickets is the side of a store that requests use.
type Tickets interface {
	// Apply makes the mutations, each atomically, and returns one outcome per mutation, in their order: each mutation stands for
	// itself, whatever has refused another one, a bound included. An error means the same for each of the mutations as it would
	// in an outcome: none was made where it wraps [ErrFull]; otherwise each may have been made.
	Apply(ctx context.Context, mutations []Mutation) ([]Outcome, error)
	// Get returns one record per id, in their order.
	Get(ctx context.Context, ids []ticket.ID) ([]Record, error)
	// Fill completes clean tickets with rows read from the next place. A record is passed over whose ticket has changed since its
	// base was read (its revision is no longer the one in bases), is dirty, or is at a higher revision than the row.
	//
	// A deleted row leaves a tombstone, and a living one takes it away.
	Fill(ctx context.Context, rows []Record, bases []ticket.Revision) error
	// Bury notes that tickets were deleted, as the next place says: where the store does not hold them it refuses their changes
	// from then on, and creates under their ids. Deletions that are made here, or filled in, are noted without it.
	Bury(ctx context.Context, ids []ticket.ID) error
}

// Make is Apply for a mutation that comes alone: the error is the call's, or that of the outcome.
func Make(ctx context.Context, tickets Tickets, m Mutation) (Outcome, error) {
	outcomes, err := tickets.Apply(ctx, []Mutation{m})
	if err != nil {
		return Outcome{}, err
	}
	return outcomes[0], outcomes[0].Err
}

// Queue is the side of a store that the flusher uses.
type Queue interface {
	// Claim takes up to limit tickets that are due at now, oldest due time first, and hides them from other claims for lease.
	Claim(ctx context.Context, now time.Time, limit int, lease time.Duration) ([]Claim, error)
	// ClaimIDs takes the given tickets whether they are due or not; those that are clean are left out.
	ClaimIDs(ctx context.Context, now time.Time, ids []ticket.ID, lease time.Duration) ([]Claim, error)
	// Ack removes the dirty marks of the fields whose revision is at most the receipt's. A ticket without any is clean.
	Ack(ctx context.Context, receipts []Receipt) error
	// Release gives claims back unflushed: they are due again when they were due before.
	Release(ctx context.Context, claims []Claim) error
	// Park takes tickets out of the queue that the next place refuses. One that changed since is left in the queue.
	Park(ctx context.Context, letters []ticket.Letter) error
	// DirtyIDs returns the tickets that were dirty and not parked throughout the call, in no order.
	DirtyIDs(ctx context.Context) ([]ticket.ID, error)
	// Backlog counts what waits. Next to an error it may have what is known all the same.
	Backlog(ctx context.Context) (Backlog, error)
}

// DeadLetters is the side of a store that operators use: what to do with tickets that the next place refuses.
type DeadLetters interface {
	// Letters returns up to limit dead letters of tickets above after, by ticket id; fewer are the last ones.
	Letters(ctx context.Context, after ticket.ID, limit int) ([]ticket.Letter, error)
	// Retry puts dead letters back into the queue, due at now, and returns how many. Other tickets are passed over.
	Retry(ctx context.Context, now time.Time, ids []ticket.ID) (int, error)
	// Drop gives up what the next place refuses: it forgets the tickets, so that they are read from there again. It returns
	// how many. Other tickets are passed over, one that has just been changed by a write among them.
	Drop(ctx context.Context, ids []ticket.ID) (int, error)
}

// Store is a place where changed tickets wait to be brought to the next one. [storetest.Run] is its contract as tests.
type Store interface {
	Tickets
	Queue
	DeadLetters
}

var (
	// ErrUnavailable is wrapped by every error that means: the store does not answer now, asking again later makes sense.
	ErrUnavailable = errors.New("store unavailable")
	// ErrFull is wrapped when the store has no room for a change; what it holds can still be flushed.
	ErrFull = errors.New("store full")
	// ErrQuota is the ErrFull of a store that has room, but not for more dirty tickets of this site.
	ErrQuota = fmt.Errorf("too many tickets of the site wait for MySQL: %w", ErrFull)
	// ErrDeleted refuses a change of a ticket that was deleted.
	ErrDeleted = errors.New("the ticket was deleted")
	// ErrTaken refuses a create whose id belongs to another ticket, or to one that was deleted.
	ErrTaken = errors.New("the id is taken by another ticket")
	// ErrUnsure refuses a create that arrives late, as the next place must say whether the ticket that has its id is its own; see
	// [Mutation.RowBorn].
	ErrUnsure = errors.New("whose ticket has the id is for MySQL to say")
	// ErrPredates refuses a set or a deletion that arrives late, as it was acknowledged before the ticket was created that has its
	// id; see [Mutation.Predates].
	ErrPredates = errors.New("the change was acknowledged before the ticket that has its id was created, so it means another ticket")
	// ErrAbsent refuses a mutation with MustExist of a ticket that the store does not hold; the next place may have it.
	ErrAbsent = errors.New("the store does not hold the ticket")
	// ErrReused refuses a mutation whose request id was used before for another request.
	ErrReused = errors.New("the request id belongs to another request")
	// ErrOwner is wrapped by every error that means: the place belongs to another table, so nothing in it was read or changed.
	ErrOwner = errors.New("the place belongs to another table")
	// ErrForeign is wrapped where somebody else has put something into a ticket's place that is no ticket.
	ErrForeign = errors.New("not a ticket")
)

// StuckError says that changes wait in the journal although the next store answers, as it cannot make them. It wraps
// [ErrUnavailable].
type StuckError struct {
	// Tickets counts the tickets of these changes; First is one of them.
	Tickets int
	First   ticket.ID
	// Why is what the next store last said of First.
	Why error
}

func (e *StuckError) Error() string {
	return fmt.Sprintf("changes of %d tickets wait in this host's journal, as Redis cannot make them: ticket %d: %v",
		e.Tickets, e.First, e.Why)
}

func (e *StuckError) Unwrap() error { return ErrUnavailable }

// FullError is an [ErrFull] that says which bound was reached.
type FullError struct {
	// Bound is the bound's name: a setting of ticketd's or of a server's, or what else there is no more of.
	Bound string
	// Reason says, for the operator, what has reached the bound and what makes room.
	Reason string
}

func (e *FullError) Error() string { return e.Bound + " is used up: " + e.Reason }

// Unwrap makes every FullError an [ErrFull].
func (e *FullError) Unwrap() error { return ErrFull }

// FullReason says for the operator which bound an [ErrFull] is about, and what makes room; empty for other errors.
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
