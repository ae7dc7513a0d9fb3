package feed_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/sync/feed"
)

var errGone = errors.New("410 Gone")

func gone() feed.Verdict { return feed.Verdict{Decision: feed.Paused, Err: errGone} }

// hold makes letters of the tickets, each with an event that waits to be published.
func (m *memory) hold(ids ...ticket.ID) {
	for _, id := range ids {
		m.keys++
		m.letters = append(m.letters, store.FeedLetter{
			Key: m.keys, Held: true, At: time.Now(), Since: time.Now(), Reason: "422",
			Event: ticket.Event{Kind: ticket.EventUpdated, Ticket: id, Revision: ticket.Revision(id)},
		})
	}
}

// A paused destination for which held events alone wait gets one of these events, after a resume and after a good probe.
func TestAHeldEventShowsThatAPausedDestinationTakesEvents(t *testing.T) {
	t.Parallel()
	for _, resumed := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			m := newMemory()
			m.hold(7, 8)
			r := &receiver{
				answer: func(ticket.Event) feed.Verdict { return gone() },
				probe:  func() error { return errGone },
			}
			c := start(t, m, r, feed.Options{})
			time.Sleep(time.Hour)
			synctest.Wait()
			if s := c.Status(nil); s.State != feed.StatePaused || len(r.calls) != 1 {
				t.Fatalf("status %+v after %d calls", s, len(r.calls))
			}
			r.set(func() { r.answer = func(ticket.Event) feed.Verdict { return refused() } })
			if resumed {
				if err := c.Resume(t.Context()); err != nil {
					t.Fatal(err)
				}
			} else {
				r.set(func() { r.probe = nil })
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if s := c.Status(nil); s.State != feed.StateRetrying || s.Reason != "422" {
				t.Errorf("status of a destination that answers again: %+v", s)
			}
			r.set(func() {
				r.answer = func(e ticket.Event) feed.Verdict {
					if e.Ticket == 7 {
						return refused()
					}
					return fine()
				}
			})
			m.wait(t, "sent", func() bool { return len(m.letters) == 1 })
			synctest.Wait()
			if s := c.Status(nil); s.State != feed.StateUp {
				t.Errorf("status %+v", s)
			}
		})
	}
}

// A charged event in its pause, alone in the window of a destination that is down: held events are tried meanwhile.
func TestHeldEventsDoNotWaitForAChargedOne(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.write(1)
		m.write(2)
		r := &receiver{answer: func(e ticket.Event) feed.Verdict {
			if e.Ticket == 2 {
				return fine()
			}
			return later() // ticket 1 is to blame, as ticket 2 passes
		}}
		start(t, m, r, feed.Options{HoldAfter: 24 * time.Hour})
		time.Sleep(10 * time.Minute)
		m.write(3)
		time.Sleep(time.Minute)
		m.set(func() { m.hold(3) }) // by another host's courier
		time.Sleep(time.Hour)
		r.set(func() {
			r.answer = func(e ticket.Event) feed.Verdict {
				if e.Ticket == 1 {
					return later()
				}
				return fine()
			}
		})
		m.wait(t, "sent", func() bool { return len(m.letters) == 0 })
	})
}

// A pause that the destination asks for counts for held events also, whichever event's answer asks for it.
func TestAPauseThatTheDestinationAsksForCountsForHeldEvents(t *testing.T) {
	t.Parallel()
	const pause = time.Minute
	for name, asks := range map[string]ticket.ID{"a new event": 2, "a held event": 7} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				m.write(1)
				m.write(2)
				m.hold(7, 8, 8)
				var asked time.Time
				call := 0
				r := &receiver{}
				r.answer = func(e ticket.Event) feed.Verdict {
					now := time.Now()
					if call > 0 && len(r.calls) > call && now.Sub(asked) < pause {
						t.Errorf("ticket %d is sent %v after the destination has asked for a pause", e.Ticket, now.Sub(asked))
					}
					if e.Ticket == asks && call == 0 {
						asked, call = now, len(r.calls)
						return feed.Verdict{Err: errTry, After: pause}
					}
					return fine()
				}
				start(t, m, r, feed.Options{})
				m.wait(t, "all sent", func() bool { return m.cursor == at(2) && len(m.letters) == 0 })
				if call == 0 {
					t.Error("no pause")
				}
			})
		})
	}
}

// Letters at their bound do not keep an event that was refused for give_up from becoming a dead letter.
func TestAHeldEventIsGivenUpWhereLettersHaveNoRoom(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.hold(7, 8)
		m.most = 2
		r := &receiver{answer: func(ticket.Event) feed.Verdict { return refused() }}
		c := start(t, m, r, feed.Options{GiveUp: time.Hour})
		m.wait(t, "given up", func() bool { return len(m.letters) == 2 && !m.letters[0].Held && !m.letters[1].Held })
		synctest.Wait()
		if s := c.Status(nil); s.Letters != 2 || s.Held != 0 {
			t.Errorf("status %+v", s)
		}
	})
}
