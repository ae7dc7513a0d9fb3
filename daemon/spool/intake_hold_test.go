package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// refuseOf makes the site refuse, for now, each change whose request id begins with a given prefix.
func (r *rig) refuseOf(prefixes ...string) {
	r.site.setFail(func(requestID string) error {
		for _, p := range prefixes {
			if strings.HasPrefix(requestID, p) {
				return errAway
			}
		}
		return nil
	})
	r.advance(maxPause)
}

// wantSettled requires that a request may proceed, or is refused because older changes wait.
func (r *rig) wantSettled(t *testing.T, want bool, p protocol.Params) {
	t.Helper()
	err := r.Settle(t.Context(), r.site, p)
	if want && err != nil || !want && !errors.Is(err, &protocol.Error{Code: protocol.CodeUnavailable}) {
		t.Errorf("%T %+v: %v, want it settled: %v", p, p, err, want)
	}
}

// A ticket whose change the site cannot make holds only its own changes: files and requests of other tickets go on. Creates
// and flushes need all changes.
func TestATicketIsHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuseOf("held")
	r.set(t, "main", 1, "a", "held")
	r.set(t, "main", 2, "b", "b")
	r.set(t, "main", 1, "c", "c")
	two := setParams("main", 2, "x", "x")
	many := &protocol.SetManyParams{Tickets: []protocol.TicketFields{{ID: 2, Fields: two.Fields}}}
	r.wantSettled(t, true, two)
	r.site.want(t, "set 2 b b")
	r.wantSettled(t, true, many)
	r.wantSettled(t, true, &protocol.DeleteParams{ID: 2})
	r.wantSettled(t, true, &protocol.GetParams{ID: 1})
	many.Tickets = append(many.Tickets, protocol.TicketFields{ID: 1})
	for _, p := range []protocol.Params{
		many, setParams("main", 1, "x", "x"), &protocol.DeleteParams{ID: 1}, &protocol.CreateParams{}, &protocol.FlushParams{},
	} {
		r.wantSettled(t, false, p)
	}
	if !r.Behind(r.site) {
		t.Error("reads do not say that changes wait")
	}
	r.set(t, "main", 1, "d", "d")
	r.set(t, "main", 3, "e", "e")
	r.takeIn(t)
	r.site.want(t, "set 2 b b", "set 3 e e")
	r.refuseOf()
	r.wantSettled(t, true, &protocol.FlushParams{})
	r.site.want(t, "set 2 b b", "set 3 e e", "set 1 a held", "set 1 c c", "set 1 d d")
	r.wantLogged(t, 1, "a ticket's changes wait")
	r.wantLogged(t, 1, "a ticket's changes are ingested")
	r.wantLogged(t, 0, "a site's changes wait")
	if r.Behind(r.site) {
		t.Error("nothing waits any more")
	}
}

// undecide makes the site refuse changes as undecided, by the prefix of the request id.
func (r *rig) undecide(prefix string, refusal *daemon.UndecidedError) {
	r.site.setFail(func(requestID string) error {
		if strings.HasPrefix(requestID, prefix) {
			return fmt.Errorf("undecided: %w", refusal)
		}
		return nil
	})
	r.advance(maxPause)
}

// However many tickets cannot be looked up, other tickets' changes go on, and so do creates, because none of these changes
// can make a ticket with the create's id. A file that may make a ticket behind such a change holds creates as before.
func TestLookUpsThatFailHoldTheirTicketsAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	away := &daemon.UndecidedError{Refusal: protocol.Errorf(protocol.CodeUnavailable, "MySQL does not answer")}
	r.undecide("must", away)
	for id := int64(1); id <= 2*maxRefused; id++ {
		p := setParams("main", id, "a", "must")
		p.MustExist = true
		r.write(t, r.name(id), frame(t, protocol.MethodSet, p))
	}
	r.set(t, "main", 50, "b", "b")
	for range 2 {
		r.wantSettled(t, true, setParams("main", 60, "x", "x"))
		r.wantSettled(t, true, &protocol.CreateParams{})
		r.wantSettled(t, false, setParams("main", 2, "x", "x"))
		r.wantSettled(t, false, &protocol.CreateParams{ID: 2})
		r.wantSettled(t, false, &protocol.FlushParams{})
		r.site.want(t, "set 50 b b")
		r.advance(maxPause)
	}
	r.set(t, "main", 2, "c", "c")
	r.wantSettled(t, false, &protocol.CreateParams{})
	r.undecide("-", nil)
	r.wantSettled(t, true, &protocol.FlushParams{})

	// A refusing site is held as before, also for changes of tickets that must exist.
	r.refuseOf("must")
	for id := int64(1); id <= maxRefused; id++ {
		p := setParams("main", id, "a", "must")
		p.MustExist = true
		r.write(t, r.name(id), frame(t, protocol.MethodSet, p))
	}
	r.wantSettled(t, false, setParams("main", 60, "x", "x"))
	r.wantLogged(t, 1, "a site's changes wait")
}

// An acknowledged change is not dropped for a deletion that could not be looked up.
func TestAnUndecidedDeletionTakesNoFile(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	notFound := protocol.Errorf(protocol.CodeNotFound, "there is no such ticket")
	r.undecide("maybe", &daemon.UndecidedError{Refusal: notFound, Taken: true})
	r.set(t, "main", 1, "a", "maybe")
	r.set(t, "main", 2, "b", "b")
	r.wantSettled(t, false, setParams("main", 1, "x", "x"))
	r.site.want(t, "set 2 b b")
	r.wantSettled(t, true, &protocol.CreateParams{}) // the id belonged to a ticket: no create may get the id
	r.undecide("-", nil)
	r.wantSettled(t, true, setParams("main", 1, "x", "x"))
	r.site.want(t, "set 2 b b", "set 1 a maybe")
	r.site.setFail(func(string) error { return notFound }) // after a look-up
	r.set(t, "main", 1, "c", "c")
	r.wantSettled(t, true, setParams("main", 1, "x", "x"))
	r.wantLogged(t, 1, "came after its ticket was deleted")
}

// If a pass takes longer than a ticket's pause, a later change of the ticket still does not overtake the held change.
func TestALongPassKeepsATicketsOrder(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuseOf("held")
	r.set(t, "main", 1, "a", "held")
	r.set(t, "main", 2, "b", "b")
	r.set(t, "main", 1, "c", "c")
	r.site.block = func(context.Context) error { r.advance(maxPause); return nil }
	r.takeIn(t)
	r.site.want(t, "set 2 b b")
	r.refuseOf()
	r.takeIn(t)
	r.site.want(t, "set 2 b b", "set 1 a held", "set 1 c c")
}

// If several tickets in a row are refused, the site is held, without a further try.
func TestASiteIsHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuseOf("held")
	for id := range int64(maxRefused + 1) {
		r.set(t, "main", 1+id, "a", "held")
	}
	r.set(t, "main", 100, "b", "b")
	r.wantSettled(t, false, setParams("main", 200, "x", "x"))
	r.site.want(t)
	r.wantLogged(t, 1, "a site's changes wait")
	r.refuseOf()
	r.wantSettled(t, true, &protocol.FlushParams{})
	r.wantFiles(t, "")
	if in := r.sites[r.site]; in.held() {
		t.Errorf("held: %+v", in)
	}
}

// A ticket is released when its files are gone, whoever removed them.
func TestAHeldFileIsTakenAway(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.refuseOf("held")
	name := r.set(t, "main", 1, "a", "held")
	r.takeIn(t)
	check(t, os.Remove(filepath.Join(r.path, name)))
	r.takeIn(t)
	r.wantSettled(t, true, setParams("main", 1, "x", "x"))
	r.wantSettled(t, true, &protocol.FlushParams{})
}

// A create got another id than the id in its file, and a change behind the create is held: the change still belongs to the
// new ticket, and requests of the new ticket wait. A file for the old id that arrives after the move belongs to the other
// ticket.
func TestAMovedTicketIsHeld(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.site.taken = 7
	r.refuseOf("held")
	r.write(t, r.name(7), frame(t, protocol.MethodCreate, &protocol.CreateParams{
		Change: protocol.Change{Target: toMain, RequestID: "r"}, ID: 7, Fields: setParams("", 7, "open", "").Fields,
	}))
	r.set(t, "main", 7, "pending", "held")
	r.wantSettled(t, false, setParams("main", 100, "x", "x"))
	r.wantSettled(t, true, setParams("main", 8, "x", "x"))
	r.refuseOf()
	r.wantSettled(t, true, setParams("main", 100, "x", "x"))
	r.sequence += int(2 * rescanEvery.Microseconds()) // now the create has moved
	r.set(t, "main", 7, "theirs", "theirs")
	r.takeIn(t)
	r.site.want(t, "create 7 r", "create 0 r", "set 100 pending held (of 7)", "set 7 theirs theirs")
}
