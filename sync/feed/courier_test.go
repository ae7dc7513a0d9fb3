package feed_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
)

func TestEventsReachTheDestinationAndTheCursorFollows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		for i := range 1200 {
			m.write(ticket.ID(i%7 + 1))
		}
		c := start(t, m, r, feed.Options{})
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(1200) })
		m.write(3)
		c.Wake()
		m.wait(t, "woken", func() bool { return m.cursor == at(1201) })
		for id := range ticket.ID(7) {
			if got := r.revisions(id + 1); !slices.IsSorted(got) || len(slices.Compact(slices.Clone(got))) != len(got) {
				t.Errorf("ticket %d: %v", id+1, got)
			}
		}
		if len(r.got) != 1201 {
			t.Errorf("%d events, want 1201", len(r.got))
		}
		synctest.Wait()
		end, beyond := []store.Cursor{at(1201)}, []store.Cursor{at(1202)}
		if s := c.Status(end); s.State != feed.StateUp || s.Behind != 0 || !c.Passed(end) || c.Passed(beyond) {
			t.Errorf("status %+v", s)
		}
	})
}

func TestNoTicketIsTwiceInAWave(t *testing.T) {
	t.Parallel()
	for _, ordered := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			m, r := newMemory(), &receiver{ordered: ordered}
			for range 3 {
				m.write(1)
				m.write(2)
			}
			start(t, m, r, feed.Options{})
			m.wait(t, "all confirmed", func() bool { return m.cursor == at(6) })
			if want := 3; !ordered && len(r.calls) != want || ordered && len(r.calls) != 1 {
				t.Errorf("%d calls, ordered %v: %v", len(r.calls), ordered, r.calls)
			}
		})
	}
}

func TestAnEventThatFailsComesBeforeTheNewerOnesOfItsTicket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		first := m.write(1)
		m.write(2)
		m.write(1)
		m.write(2)
		fails := 3
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Revision == first && fails > 0 {
				fails--
				return later()
			}
			return fine()
		}}
		start(t, m, r, feed.Options{})
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(4) })
		if got := r.revisions(1); !slices.Equal(got, []ticket.Revision{1, 3}) {
			t.Errorf("ticket 1 in the order %v", got)
		}
		// The other ticket has passed meanwhile.
		if r.got[0].Ticket != 2 || r.got[1].Ticket != 2 {
			t.Errorf("order %v", r.got)
		}
	})
}

func TestARefusedEventIsALetterAfterGiveUpAndHoldsItsTicketAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		poison := m.write(7)
		m.write(8)
		m.write(7)
		m.write(9)
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Revision == poison {
				return refused()
			}
			return fine()
		}}
		begun := time.Now()
		c := start(t, m, r, feed.Options{GiveUp: 72 * time.Hour})
		m.wait(t, "the cursor passes the refused event", func() bool { return m.cursor == at(4) })
		if since := time.Since(begun); since > time.Second {
			t.Errorf("the other tickets waited for %v", since)
		}
		if got := r.revisions(7); len(got) != 0 {
			t.Errorf("ticket 7 passed its refused event: %v", got)
		}
		m.write(7)
		m.wait(t, "later events of the ticket wait behind it", func() bool { return m.cursor == at(5) && len(m.letters) == 3 })
		m.wait(t, "the letter is dead, and the others have passed", func() bool {
			return len(m.letters) == 1 && !m.letters[0].Held && m.letters[0].Event.Revision == poison
		})
		if since := time.Since(begun); since < 72*time.Hour || since > 73*time.Hour {
			t.Errorf("given up after %v", since)
		}
		synctest.Wait()
		if got := r.revisions(7); !slices.Equal(got, []ticket.Revision{3, 5}) {
			t.Errorf("ticket 7 in the order %v", got)
		}
		if l := m.letters[0]; l.Reason != "422" || string(l.Answer) != "no such field" || l.Tries < 2 {
			t.Errorf("letter %+v", l)
		}
		if s := c.Status(nil); s.Letters != 1 || s.Held != 0 || s.State != feed.StateUp {
			t.Errorf("status %+v", s)
		}
	})
}

func TestAnEventThatFailsForAMinuteNoLongerHoldsTheCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		slow := m.write(1)
		m.write(2)
		up := false
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Revision == slow && !up {
				return later()
			}
			return fine()
		}}
		begun := time.Now()
		start(t, m, r, feed.Options{})
		m.wait(t, "held", func() bool { return m.cursor == at(2) && len(m.letters) == 1 })
		if since := time.Since(begun); since < time.Minute || since > 3*time.Minute {
			t.Errorf("held after %v", since)
		}
		r.set(func() { up = true })
		m.wait(t, "sent after all", func() bool { return len(m.letters) == 0 })
		if got := r.revisions(1); len(got) != 1 {
			t.Errorf("ticket 1: %v", got)
		}
	})
}

func TestHeldTicketsStayHeldAfterARestart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.write(7)
		m.write(8)
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Ticket == 7 {
				return refused()
			}
			return fine()
		}}
		c := feed.New(m, r, feed.Options{Name: destination})
		c.Start(t.Context())
		m.wait(t, "held", func() bool { return len(m.letters) == 1 })
		if err := c.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.write(7)
		r = &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Revision == 1 {
				return refused()
			}
			return fine()
		}}
		start(t, m, r, feed.Options{GiveUp: time.Hour})
		m.wait(t, "the newer event waits", func() bool { return len(m.letters) == 2 && m.cursor == at(3) })
		if len(r.revisions(7)) != 0 {
			t.Error("the newer event has passed the refused one")
		}
		m.wait(t, "given up", func() bool { return len(m.letters) == 1 && !m.letters[0].Held })
	})
}

func TestAnEndpointThatIsDownGetsOneEventAtATimeAndChargesNone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		for id := range ticket.ID(5) {
			m.write(id + 1)
		}
		up := false
		r := &receiver{answer: func(ticket.Event) feed.Verdict {
			if up {
				return fine()
			}
			v := later()
			v.After = 30 * time.Second
			return v
		}}
		c := start(t, m, r, feed.Options{GiveUp: time.Hour})
		time.Sleep(24 * time.Hour)
		r.set(func() {
			if len(r.calls[0]) != 5 {
				t.Errorf("first wave %v", r.calls[0])
			}
			probed := map[ticket.ID]bool{}
			for i, call := range r.calls[1:] {
				if len(call) != 1 {
					t.Errorf("a probe of %d events", len(call))
				}
				probed[call[0].Ticket] = true
				if gap := r.when[i+1].Sub(r.when[i]); gap < 30*time.Second {
					t.Errorf("pause %v is below the one that the destination asked for", gap)
				}
			}
			if n := len(r.calls); n < 24*60/5 || n > 24*60*2 || len(probed) != 5 || r.calls[1][0].Ticket != 1 {
				t.Errorf("%d probes of %d tickets, the first of ticket %d", n, len(probed), r.calls[1][0].Ticket)
			}
			up = true
		})
		if s := c.Status(nil); s.State != feed.StateRetrying || s.Reason != "503" || s.Held+s.Letters != 0 {
			t.Errorf("status %+v", s)
		}
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(5) && len(m.letters) == 0 })
		if n := len(r.got); n != 5 {
			t.Errorf("%d events", n)
		}
	})
}

// A refused event alone in the window looks like a destination that is down; the next event of another ticket shows the
// difference.
func TestARefusedEventOnAQuietSiteIsFoundByTheNextTicket(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.write(7)
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Ticket == 7 {
				return refused()
			}
			return fine()
		}}
		start(t, m, r, feed.Options{MaxPause: 10 * time.Second})
		time.Sleep(time.Hour)
		m.write(8)
		written := time.Now()
		m.wait(t, "the refused event is held", func() bool { return m.cursor == at(2) && len(m.letters) == 1 })
		if since := time.Since(written); since > time.Minute {
			t.Errorf("found after %v", since)
		}
		m.write(9)
		written = time.Now()
		m.wait(t, "others pass at once", func() bool { return m.cursor == at(3) })
		if since := time.Since(written); since > time.Second {
			t.Errorf("passed after %v", since)
		}
	})
}

func TestAPausedDestinationIsProbedWithoutEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.write(1)
		m.write(2)
		gone := errors.New("404: no such exchange")
		there := false
		r := &receiver{}
		r.probe = func() error {
			if there {
				return nil
			}
			return gone
		}
		r.answer = func(ticket.Event) feed.Verdict {
			if there {
				return fine()
			}
			return feed.Verdict{Decision: feed.Paused, Err: gone}
		}
		c := start(t, m, r, feed.Options{GiveUp: time.Minute})
		time.Sleep(time.Hour)
		synctest.Wait()
		if s := c.Status(nil); s.State != feed.StatePaused || s.Reason != gone.Error() || len(r.calls) != 1 || s.Held != 0 {
			t.Errorf("status %+v after %d calls", s, len(r.calls))
		}
		r.set(func() { there = true })
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(2) })
		if len(r.calls[1]) != 1 {
			t.Errorf("%d events after a probe, want one", len(r.calls[1]))
		}
	})
}

func TestLettersWithoutRoomHoldTheDestination(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.full = true
		m.write(1)
		m.write(2)
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Ticket == 1 {
				return refused()
			}
			return fine()
		}}
		start(t, m, r, feed.Options{})
		time.Sleep(time.Hour)
		m.set(func() {
			if m.cursor != "" || len(m.letters) != 0 {
				t.Errorf("the cursor passed a refused event without a letter: %s", m.cursor)
			}
			m.full = false
		})
		m.wait(t, "a letter", func() bool { return m.cursor == at(2) && len(m.letters) == 1 })
	})
}

func TestLostEventsAreTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		for range 10 {
			m.write(1)
		}
		m.cursor, m.first = at(3), 8
		c := start(t, m, r, feed.Options{})
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(10) })
		g := r.got[0]
		if g.Kind != ticket.EventGap || g.First != 4 || g.Last != 7 || g.Lost != 4 || len(r.got) != 4 {
			t.Errorf("got %v", r.got)
		}
		if s := c.Status(nil); s.Gaps != 1 || s.Lost != 4 || s.Gap.IsZero() {
			t.Errorf("status %+v", s)
		}
	})
}

// A store that fails over to a lagging replica has older events and an older cursor than the courier in memory.
func TestACursorThatWentBackInTheStoreCounts(t *testing.T) {
	t.Parallel()
	for _, told := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m, r := newMemory(), &receiver{}
			for range 10 {
				m.write(1)
			}
			c := start(t, m, r, feed.Options{})
			m.wait(t, "all confirmed", func() bool { return m.cursor == at(10) })
			synctest.Wait()
			m.set(func() { m.events, m.cursor = m.events[:4], at(2) })
			m.write(2) // has the number 5, which the courier has passed
			if told {
				c.Reread()
			}
			m.wait(t, "the new event is confirmed", func() bool { return m.cursor == at(5) })
			if got := r.revisions(2); !slices.Equal(got, []ticket.Revision{5}) {
				t.Errorf("ticket 2: %v", got)
			}
		})
	}
}

// The numbers jump before the courier learns that the store went back: it must not take the jump for a gap.
func TestANumberThatJumpsMakesTheCourierAskForItsCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		for range 3 {
			m.write(1)
		}
		c := start(t, m, r, feed.Options{Lease: 24 * time.Hour})
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(3) })
		m.set(func() { // another process: the cursor is behind, and new events have higher numbers than the courier expects
			m.cursor = at(2)
			m.events = append(m.events, ticket.Event{Kind: ticket.EventUpdated, Ticket: 5, Number: 9, Revision: 9})
		})
		c.Wake()
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(9) })
		if kinds := r.kinds(); slices.Contains(kinds, ticket.EventGap) && len(kinds) < 5 {
			t.Errorf("kinds %v", kinds)
		}
		if got := r.revisions(1); !slices.Equal(got, []ticket.Revision{1, 2, 3, 3}) {
			t.Errorf("ticket 1: %v: the courier did not continue from the store's cursor", got)
		}
	})
}

func TestOneCourierOfADestinationWorks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, a, b := newMemory(), &receiver{}, &receiver{}
		first := feed.New(m, a, feed.Options{Name: destination})
		first.Start(t.Context())
		m.write(1)
		m.wait(t, "the first has the lease", func() bool { return m.cursor == at(1) })
		second := start(t, m, b, feed.Options{})
		m.write(2)
		m.wait(t, "confirmed", func() bool { return m.cursor == at(2) })
		synctest.Wait()
		if s := second.Status(nil); len(b.calls) != 0 || s.State != feed.StateElsewhere {
			t.Errorf("the second courier published %v, %+v", b.calls, s)
		}
		if err := first.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.write(3)
		m.wait(t, "the second takes over", func() bool { return m.cursor == at(3) })
		if len(b.got) != 1 {
			t.Errorf("the second courier published %v", b.got)
		}
	})
}

// A courier takes over as soon as the lease of an owner ends that has died.
func TestACourierTakesOverAtTheEndOfALease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const lease = 10 * time.Second
		m, r := newMemory(), &receiver{}
		m.write(1)
		began := time.Now()
		m.set(func() { m.owner, m.until = "killed", began.Add(lease) })
		start(t, m, r, feed.Options{Lease: lease})
		m.wait(t, "confirmed", func() bool { return m.cursor == at(1) })
		if took := time.Since(began); took > lease+lease/10 {
			t.Errorf("the courier has waited for %v", took)
		}
	})
}

func TestALongPublicationKeepsTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, slow, other := newMemory(), &receiver{takes: time.Minute}, &receiver{}
		m.write(1)
		start(t, m, slow, feed.Options{})
		time.Sleep(time.Second)
		start(t, m, other, feed.Options{})
		m.wait(t, "confirmed", func() bool { return m.cursor == at(1) })
		if len(other.calls) != 0 {
			t.Error("another courier took over while a publication was under way")
		}
	})
}

// A courier that slept over the end of its lease must not move the cursor, whatever it has published.
func TestASleeperDoesNotMoveTheCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{takes: time.Second}
		m.write(1)
		c := start(t, m, r, feed.Options{})
		time.Sleep(500 * time.Millisecond)
		m.set(func() { m.owner, m.until, m.cursor = "other", time.Now().Add(24*time.Hour), store.Cursor("") })
		time.Sleep(time.Minute)
		synctest.Wait()
		m.set(func() {
			if m.cursor != "" {
				t.Errorf("the cursor was moved to %s", m.cursor)
			}
		})
		if s := c.Status(nil); s.State != feed.StateElsewhere {
			t.Errorf("state %s", s.State)
		}
	})
}

func TestAnOperatorPausesAndResumes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.owner, m.until = feed.StoppedToken, time.Now().Add(100*365*24*time.Hour)
		m.write(1)
		c := start(t, m, r, feed.Options{})
		time.Sleep(time.Minute)
		synctest.Wait()
		if s := c.Status(nil); len(r.calls) != 0 || s.State != feed.StateStopped {
			t.Errorf("%d calls, state %s", len(r.calls), s.State)
		}
		if err := c.Test(t.Context(), "user:1"); err != nil {
			t.Error(err)
		}
		m.set(func() { m.owner = "" })
		if err := c.Resume(t.Context()); err != nil {
			t.Fatal(err)
		}
		m.wait(t, "confirmed", func() bool { return m.cursor == at(1) })
		if kinds := r.kinds(); !slices.Equal(kinds, []ticket.EventKind{ticket.EventTest, ticket.EventUpdated}) {
			t.Errorf("kinds %v", kinds)
		}
	})
}

// An endpoint that has unsubscribed says by an event alone that it takes events again.
func TestResumeTriesAPausedDestinationWithAnEvent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.write(1)
		m.write(2)
		gone := errors.New("410 Gone")
		unsubscribed := true
		r := &receiver{probe: func() error { return gone }, answer: func(ticket.Event) feed.Verdict {
			if unsubscribed {
				return feed.Verdict{Decision: feed.Paused, Err: gone}
			}
			return fine()
		}}
		c := start(t, m, r, feed.Options{})
		resume := func() {
			if s := c.Status(nil); s.State != feed.StatePaused {
				t.Errorf("state %s", s.State)
			}
			if err := c.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		resume()
		time.Sleep(time.Hour)
		r.set(func() { unsubscribed = false })
		resume()
		m.wait(t, "confirmed", func() bool { return m.cursor == at(2) })
		if n := len(r.calls); n != 4 { // each pause after one, then one as a trial
			t.Errorf("%d calls", n)
		}
	})
}

func TestASnapshotGoesBetweenTheEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		const rows, secret = 450, 7
		c := start(t, m, r, feed.Options{View: func(_ context.Context, events []ticket.Event) ([]ticket.Event, error) {
			return slices.DeleteFunc(slices.Clone(events), func(e ticket.Event) bool { return e.Ticket == secret }), nil
		}})
		err := c.Snapshot(t.Context(), func(_ context.Context, after ticket.ID, limit int) ([]ticket.Event, error) {
			var page []ticket.Event
			for id := after + 1; id <= rows && len(page) < limit; id++ {
				page = append(page, ticket.Event{Kind: ticket.EventSnapshot, Ticket: id, Revision: 1})
			}
			m.write(after + 1)
			return page, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		m.wait(t, "confirmed", func() bool { return m.cursor == at(4) })
		synctest.Wait()
		if s := c.Status(nil); len(r.got) != rows+4-1 || s.Snapshot || s.Rows != rows {
			t.Errorf("%d events, %+v", len(r.got), s)
		}
		if len(r.revisions(secret)) != 0 {
			t.Error("a row went past the destination's view")
		}
	})
}

// An endpoint that takes some events and asks for a pause gets the pause. The events that were not tried are not to blame.
func TestADestinationThatBoundsItsRateGetsItsPauses(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const events, each, pause = 600, 20, 10 * time.Second
		m, r := newMemory(), &receiver{}
		for id := range ticket.ID(events) {
			m.write(id + 1)
		}
		room, last := 0, time.Time{}
		r.answer = func(ticket.Event) feed.Verdict {
			if now := time.Now(); now != last {
				if since := now.Sub(last); since < pause {
					t.Errorf("asked again after %v", since)
				}
				room, last = each, now
			}
			if room--; room >= 0 {
				return fine()
			}
			return feed.Verdict{Err: errTry, After: pause, Unsent: room < -1}
		}
		begun := time.Now()
		start(t, m, r, feed.Options{})
		m.wait(t, "all confirmed", func() bool { return m.cursor == at(events) })
		if since := time.Since(begun); since > events/each*pause {
			t.Errorf("done after %v", since)
		}
		if m.keys > 0 {
			t.Errorf("%d events became letters", m.keys)
		}
	})
}

// A held event that fails with all others while the destination is down is not given up for that.
func TestAnOutageGivesNoHeldEventUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.write(7)
		m.write(8)
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Ticket == 7 {
				return refused()
			}
			return fine()
		}}
		start(t, m, r, feed.Options{GiveUp: time.Hour})
		m.wait(t, "held", func() bool { return m.cursor == at(2) && len(m.letters) == 1 })
		r.set(func() { r.answer = func(ticket.Event) feed.Verdict { return later() } })
		time.Sleep(3 * time.Hour)
		m.set(func() {
			if len(m.letters) != 1 || !m.letters[0].Held {
				t.Errorf("letters %+v", m.letters)
			}
		})
		r.set(func() { r.answer = nil })
		m.wait(t, "sent after all", func() bool { return len(m.letters) == 0 })
	})
}

func TestAViewThatFailsHoldsTheCursor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, r := newMemory(), &receiver{}
		m.write(1)
		m.write(2)
		away := errors.New("MySQL is down")
		c := start(t, m, r, feed.Options{View: func(_ context.Context, events []ticket.Event) ([]ticket.Event, error) {
			return slices.DeleteFunc(slices.Clone(events), func(e ticket.Event) bool { return e.Ticket == 2 }), away
		}})
		time.Sleep(time.Minute)
		if s := c.Status(nil); s.State != feed.StateWaiting || s.Reason != away.Error() || len(r.calls) != 0 {
			t.Errorf("status %+v", s)
		}
		away = nil
		m.wait(t, "the cursor passes what the view leaves out", func() bool { return m.cursor == at(2) })
		if len(r.got) != 1 || r.got[0].Ticket != 1 {
			t.Errorf("got %v", r.got)
		}
	})
}
