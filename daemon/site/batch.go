package site

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/table"
)

// Batch is a set of changes that go to the store in a single call. Each change is checked when added and has a separate result:
// the refusal of a change concerns no other change. A Batch serves a single goroutine, once: Add calls, Apply, results.
type Batch struct {
	site    *Site
	now     time.Time
	changes []change
}

// change is one change of a batch.
type change struct {
	store.Mutation
	// numbered says that the change is a create whose id the daemon chooses.
	numbered bool
	// unasked is the error of the look-up for RowBorn, for a create that arrives late.
	unasked error
	// outcome has an Err as soon as the change is refused.
	outcome store.Outcome
}

// spare is the capacity for fields that the daemon adds.
const spare = 2

// AddCreate adds a create.
func (b *Batch) AddCreate(ctx context.Context, p *protocol.CreateParams) {
	var c change
	err := b.site.judged(ctx, func(d *table.Definition) (err error) {
		c, err = b.create(d, p)
		return err
	})
	b.add(c, &p.Change, askedCreate(p), err)
}

// create checks a create against a definition of the table.
func (b *Batch) create(d *table.Definition, p *protocol.CreateParams) (c change, err error) {
	c = change{Mutation: store.Mutation{Kind: store.Create, ID: ticket.ID(p.ID)}, numbered: p.ID == 0}
	m := &c.Mutation
	if !c.numbered {
		m.Accepted = accepted(p.Accepted)
	}
	if err := b.site.refuseCreate(); err != nil {
		return c, err
	}
	if m.Fields, err = d.Check(p.Fields.Own(spare)); err != nil {
		return c, err
	}
	if m.Fields, m.Defaults, err = d.Complete(m.Fields, b.now); err != nil {
		return c, err
	}
	if d.Computes() || p.ID != 0 {
		// The database adds columns, or a client that knows the id has set other fields of the ticket: the fields of this create are
		// not the whole ticket.
		*m = m.Begun()
	}
	if size := extentOf(m.Fields); !size.fits() {
		return c, tooLarge(m.Fields, size)
	}
	return c, nil
}

// AddSet adds a set.
func (b *Batch) AddSet(ctx context.Context, p *protocol.SetParams) {
	var c change
	err := b.site.judged(ctx, func(d *table.Definition) (err error) {
		c, err = b.set(d, p)
		return err
	})
	b.add(c, &p.Change, askedSet(p), err)
}

// set checks a set against a definition of the table.
func (b *Batch) set(d *table.Definition, p *protocol.SetParams) (c change, err error) {
	c = change{Mutation: store.Mutation{
		Kind: store.Set, ID: ticket.ID(p.ID), IfRevision: ticket.Revision(p.IfRevision), MustExist: p.MustExist,
		Accepted: accepted(p.Accepted),
	}}
	checked, err := d.Check(p.Fields.Own(spare))
	if err == nil {
		c.Fields = d.Touch(checked, b.now)
	}
	return c, err
}

// AddDelete adds the deletion of a ticket. mustExist refuses the deletion if the store does not hold the ticket.
func (b *Batch) AddDelete(d *table.Definition, p *protocol.DeleteParams, mustExist bool) {
	fields, _ := d.SoftDelete(b.now)
	c := change{Mutation: store.Mutation{
		Kind: store.Delete, ID: ticket.ID(p.ID), Fields: fields, MustExist: mustExist, Accepted: accepted(p.Accepted),
	}}
	b.add(c, &p.Change, asked{method: protocol.MethodDelete, id: cmp.Or(p.Named, p.ID)}, nil)
}

// Refuse adds a change that is already refused, to keep a place among the results.
func (b *Batch) Refuse(id int64, why error) {
	b.changes = append(b.changes, change{outcome: store.Outcome{ID: ticket.ID(id), Err: why}})
}

// add appends a change with the promises of the request: how the request may be repeated, and which place acknowledges.
func (b *Batch) add(c change, p *protocol.Change, of asked, refused error) {
	c.RequestID, c.Remember, c.By, c.Via = p.RequestID, p.Remember, p.By, p.Via
	c.Early = p.Ack == protocol.AckJournal || (p.Ack == "" && b.site.Early)
	c.outcome = store.Outcome{ID: c.ID, Err: refused}
	if refused == nil {
		c.Digest = of.digest(p.RequestID)
	}
	b.changes = append(b.changes, c)
}

// accepted is [store.Mutation.Accepted] for a request that the client has already acknowledged.
func accepted(at time.Time) ticket.Revision {
	if at.IsZero() {
		return 0
	}
	return ticket.Revision(at.UnixMicro())
}

// Result returns the outcome of the change that was added as number i. A refusal is the error and the outcome's Err.
func (b *Batch) Result(i int) (store.Outcome, error) {
	return b.changes[i].outcome, b.changes[i].outcome.Err
}

// Apply makes the changes. An error applies to every change.
func (b *Batch) Apply(ctx context.Context) error {
	b.refuseOutgrown(ctx)
	for i := range b.changes {
		if c := &b.changes[i]; c.Kind.Creates() && c.outcome.Err == nil {
			b.name(ctx, c)
		}
	}
	if err := b.make(ctx, b.open()); err != nil {
		return err
	}
	b.renumber(ctx)
	b.lookAgain(ctx, 0, len(b.changes))
	return nil
}

// open returns the numbers of the changes that are not refused.
func (b *Batch) open() []int {
	at := make([]int, 0, len(b.changes))
	for i := range b.changes {
		if b.changes[i].outcome.Err == nil {
			at = append(at, i)
		}
	}
	return at
}

// make applies changes to the store in a single call, and tells the flusher the due times.
func (b *Batch) make(ctx context.Context, at []int) error {
	if len(at) == 0 {
		return nil
	}
	s := b.site
	mutations := make([]store.Mutation, len(at))
	for n, i := range at {
		c := &b.changes[i]
		if !c.numbered {
			b.use(c.ID)
		}
		b.stamp(&c.Mutation)
		mutations[n] = c.Mutation
	}
	outcomes, err := s.Store.Apply(ctx, mutations)
	for n, i := range at {
		c := &b.changes[i]
		s.missing.written(c.ID)
		if c.outcome = (store.Outcome{ID: c.ID, Err: err}); err == nil {
			c.outcome = outcomes[n]
		}
		if c.unasked != nil && errors.Is(c.outcome.Err, store.ErrUnsure) {
			c.outcome.Err = c.unasked
		}
		if c.outcome.Err == nil {
			s.Flusher.Wake(c.Due)
		}
	}
	return err
}

// stamp sets the proposed revision and the times of a mutation.
func (b *Batch) stamp(m *store.Mutation) {
	m.Proposed, m.At = b.site.Clock.Propose(), 0
	if at := ticket.Revision(b.now.UnixMicro()); at < m.Proposed-store.AheadBy {
		m.At = at
	}
	m.Due = b.site.strategy.Load().Due(b.now, m)
}

// maxTaken bounds the ids tried in a row for a create. Each try costs a round trip to the store. A leased block of used ids is
// passed over within a few creates.
const maxTaken = 1000

// errAllTaken means that tickets have all ids tried for a new ticket.
var errAllTaken = fmt.Errorf("the next %d ids of the site's sequence are taken by other tickets", maxTaken)

// errMaybeTaken means that MySQL has a ticket of the id that a create names, and that Redis does not say whether an earlier
// request under the same request id made the ticket.
var errMaybeTaken = errors.New("a ticket has the id, and a place that knows whether this request made the ticket does not answer")

// name gives a create the next free id, or checks the id that the client names.
func (b *Batch) name(ctx context.Context, c *change) {
	if c.numbered {
		c.ID, c.outcome.Err = b.site.IDs.Next(ctx)
	} else {
		c.outcome.Err = b.checkNamed(ctx, c)
	}
	c.outcome.ID = c.ID
}

// renumber repeats creates, under new ids, if a different ticket has the id: clients and other programs use ids that the
// allocator did not give out.
func (b *Batch) renumber(ctx context.Context) {
	for tries := 1; ; tries++ {
		var taken []int
		for i := range b.changes {
			c := &b.changes[i]
			if !c.numbered || !errors.Is(c.outcome.Err, store.ErrTaken) {
				continue
			}
			if tries == maxTaken {
				c.outcome.Err = errAllTaken
			} else if b.name(ctx, c); c.outcome.Err == nil {
				taken = append(taken, i)
			}
		}
		if len(taken) == 0 || b.make(ctx, taken) != nil {
			return
		}
	}
}

// checkNamed refuses a create if a ticket has the id that the client names. If the store does not hold a ticket of this id,
// checkNamed asks MySQL. While MySQL does not answer, the create is accepted unchecked, and MySQL refuses the create at the flush
// if necessary.
func (b *Batch) checkNamed(ctx context.Context, c *change) error {
	s := b.site
	b.use(c.ID)
	s.missing.written(c.ID) // a program may have inserted the row in SQL since the ticket was found missing
	record, err := s.lookUpInHalf(ctx, c.ID)
	switch {
	case err == nil && record.Behind && !record.Queued && c.RequestID == "":
		return store.ErrTaken
	case err == nil && record.Behind && !record.Queued:
		return errMaybeTaken
	case err == nil:
		c.Early = false // the store holds the ticket now, and distinguishes a repetition from a different request
	case errors.Is(err, errNoTicket), errors.Is(err, store.ErrForeign), errors.Is(err, errBehind), looksFailed(err):
	default:
		return err
	}
	if c.Accepted == 0 {
		return nil
	}
	if c.RowBorn, c.unasked = b.born(ctx, c.ID); c.unasked != nil {
		c.RowBorn = 0
	}
	return nil
}

// born is [store.Mutation.RowBorn] for an id.
func (b *Batch) born(ctx context.Context, id ticket.ID) (ticket.Revision, error) {
	ctx, cancel := context.WithTimeout(ctx, rowTimeout)
	defer cancel()
	all, err := b.site.Database.Born(ctx, []ticket.ID{id})
	if born, known := all[id]; err != nil || known {
		return born, err
	}
	return ticket.MaxRevision, nil
}

// use tells the allocator that a client has named an id: no create may get the id.
func (b *Batch) use(id ticket.ID) {
	if b.site.IDs != nil {
		b.site.IDs.Use(id)
	}
}

// lookAgain takes the sets with the numbers from ≤ i < before, and repeats each set that the store refused only because the store
// does not hold the ticket. A look-up first fills the store. A set of a ticket that the store holds costs no look-up.
func (b *Batch) lookAgain(ctx context.Context, from, before int) {
	var unknown []int
	for i := from; i < before; i++ {
		if c := &b.changes[i]; c.Kind == store.Set && restsOnAbsence(&c.outcome) {
			unknown = append(unknown, i)
		}
	}
	for part := range slices.Chunk(unknown, atOnce) {
		b.lookAndMake(ctx, part)
	}
}

// restsOnAbsence says that the outcome may change once the store holds the ticket: the store could not compare the revision, does
// not know whether the ticket exists, or relies on a tombstone, while the row may have been revived in SQL.
func restsOnAbsence(o *store.Outcome) bool {
	var conflict *store.ConflictError
	switch {
	case errors.As(o.Err, &conflict):
		return conflict.Have == 0
	case errors.Is(o.Err, store.ErrDeleted):
		return o.Revision == 0
	default:
		return errors.Is(o.Err, store.ErrAbsent)
	}
}

// lookAndMake looks up the tickets of refused sets, and repeats the sets that the look-up allows.
func (b *Batch) lookAndMake(ctx context.Context, at []int) {
	var records []store.Record
	ids := make([]ticket.ID, len(at))
	for n, i := range at {
		ids[n] = b.changes[i].ID
	}
	d, err := b.site.known()
	if err == nil {
		records, err = b.site.wholeInHalf(ctx, d, ids)
	}
	var again []int
	for n, i := range at {
		record := store.Record{Behind: true}
		if len(records) == len(at) {
			record = records[n] // with an error of MySQL: the store's record
		}
		c := &b.changes[i]
		if c.outcome.Err = judge(c.outcome.Err, &record, err); c.outcome.Err == nil {
			c.MustExist = false // the look-up has found the ticket
			again = append(again, i)
		}
	}
	_ = b.make(ctx, again) // each outcome has the error
}

// judge returns why a mutation stays refused after a look-up of the ticket; nil: the mutation is tried again. unseen is the error
// of the look-up.
func judge(refusal error, r *store.Record, unseen error) error {
	exists := unseen == nil && r.Err == nil && r.Held() && !r.Deleted
	switch {
	case errors.Is(refusal, store.ErrDeleted):
		return judgeDeleted(refusal, r, exists, unseen)
	case exists:
		return nil
	case unseen != nil && looksFailed(unseen):
		return &undecidedError{unseen, false}
	case unseen != nil:
		return unseen
	case r.Err != nil:
		return r.Err
	case r.Behind && !r.Held():
		return &undecidedError{errBehind, false}
	default:
		return errNoTicket
	}
}

// judgeDeleted is judge for a refusal by a tombstone. While MySQL does not answer, the store's own tombstone counts, but no
// acknowledged change is given up because of the tombstone. While the store does not answer, a tombstone that only this host
// remembers counts if MySQL has the ticket as deleted: the deletion of a row that seems alive may be pending in the store, or the
// store may have given the deletion up.
func judgeDeleted(refusal error, r *store.Record, exists bool, unseen error) error {
	switch {
	case unseen != nil && !looksFailed(unseen):
		return unseen
	case unseen != nil && !r.Behind:
		return &undecidedError{refusal, true}
	case unseen != nil:
		return &undecidedError{errMaybeDeleted, true}
	case r.Err != nil:
		return r.Err
	case r.Held() && r.Deleted:
		return refusal
	case r.Behind:
		return &undecidedError{errMaybeDeleted, true}
	case exists:
		return nil
	default:
		return refusal
	}
}

// looksFailed says that the store has answered, and that MySQL or the table is unavailable.
func looksFailed(err error) bool {
	return errors.Is(err, flush.ErrSinkDown) || errors.Is(err, flush.ErrSinkPaused)
}

// digestBytes is the number of bytes kept of the SHA-256: enough that two requests do not have the same digest by chance. A
// client gains no advantage by forging a digest.
const digestBytes = 8

// digest returns the text that identifies the request in the stores; empty without a request id.
func (a asked) digest(requestID string) string {
	if requestID == "" {
		return ""
	}
	fields := slices.Clone(a.fields)
	slices.SortStableFunc(fields, func(x, y protocol.Field) int { return cmp.Compare(x.Name, y.Name) })
	b := binary.AppendVarint([]byte(string(a.method)+"\x00"), a.id)
	b = binary.AppendVarint(b, a.ifRevision)
	for _, f := range fields {
		b = appendText(b, f.Name)
		if f.Value.IsNull() {
			b = append(b, 0)
		} else {
			b = appendText(append(b, 1), f.Value.Text())
		}
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:digestBytes])
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
