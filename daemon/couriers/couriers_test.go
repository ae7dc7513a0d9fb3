package couriers_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/ticketd/ticketd/daemon/couriers"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/pending"
	"github.com/ticketd/ticketd/sync/feed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// receiver is a destination that keeps what it got.
type receiver struct {
	mu     sync.Mutex
	got    []ticket.Event
	refuse bool
	opened int
	closed int
}

func (r *receiver) Publish(_ context.Context, events []ticket.Event) []feed.Verdict {
	r.mu.Lock()
	defer r.mu.Unlock()
	verdicts := make([]feed.Verdict, len(events))
	for i := range events {
		if r.refuse && events[i].Ticket == 7 {
			verdicts[i] = feed.Verdict{Decision: feed.Refused, Err: errors.New("422")}
			continue
		}
		verdicts[i].Decision = feed.Confirmed
		r.got = append(r.got, events[i])
	}
	return verdicts
}

func (*receiver) Ordered() bool               { return false }
func (*receiver) Probe(context.Context) error { return nil }

func (r *receiver) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed++
	return nil
}

func (r *receiver) tickets() []ticket.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	ids := make([]ticket.ID, len(r.got))
	for i := range r.got {
		ids[i] = r.got[i].Ticket
	}
	return ids
}

func (r *receiver) to(name, settings string) couriers.Destination {
	return couriers.Destination{
		Name: name, Kind: "webhook", Settings: settings, GiveUp: time.Hour,
		Open: func() (feed.Publisher, error) { r.opened++; return r, nil },
	}
}

// site is a store with its couriers.
type site struct {
	t     *testing.T
	store *pending.Store
	clock *ticket.Clock
	*couriers.Couriers
}

func newSite(t *testing.T, destinations ...couriers.Destination) *site {
	t.Helper()
	s := &site{t: t, store: pending.New(), clock: ticket.NewClock(time.Now)}
	s.Couriers = couriers.New(couriers.Options{Feed: s.store.Feed(), Log: zerolog.Nop(), Rows: func(
		_ context.Context, after ticket.ID, _ int,
	) ([]ticket.Event, error) {
		if after > 0 {
			return nil, nil
		}
		return []ticket.Event{{Kind: ticket.EventSnapshot, Ticket: 100, Revision: 1}}, nil
	}})
	s.Keep(couriers.Keeping{On: true, MaxEvents: 5000, MaxBytes: 1 << 20})
	s.apply(destinations...)
	s.Start(t.Context())
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	time.Sleep(time.Second)
	return s
}

func (s *site) apply(destinations ...couriers.Destination) {
	s.t.Helper()
	if err := s.Apply(s.t.Context(), destinations); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) set(id ticket.ID) {
	s.t.Helper()
	_, err := store.Make(s.t.Context(), s.store, store.Mutation{
		Kind: store.Set, ID: id, Proposed: s.clock.Propose(), Fields: ticket.Fields{{Name: "status", Value: ticket.Text("open")}},
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) state(name string) couriers.Status {
	for _, of := range s.Status(s.t.Context()) {
		if of.Name == name {
			return of
		}
	}
	return couriers.Status{}
}

func wantTickets(t *testing.T, r *receiver, want ...ticket.ID) {
	t.Helper()
	if got := r.tickets(); !slices.Equal(got, want) {
		t.Errorf("the destination got %v, want %v", got, want)
	}
}

func TestDestinationsComeGoAndChange(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		crm, bus := &receiver{}, &receiver{}
		s := newSite(t, crm.to("crm", "a"))
		s.set(1)
		time.Sleep(time.Second)
		wantTickets(t, crm, 1)
		s.apply(crm.to("crm", "a"), bus.to("bus", "a"))
		s.set(2)
		time.Sleep(time.Second)
		wantTickets(t, crm, 1, 2)
		if crm.opened != 1 {
			t.Errorf("an unchanged destination was opened %d times", crm.opened)
		}
		s.apply() // both go
		s.set(3)
		time.Sleep(time.Minute)
		wantTickets(t, crm, 1, 2)
		if crm.closed != 1 || len(s.Status(t.Context())) != 0 {
			t.Errorf("closed %d times, status %+v", crm.closed, s.Status(t.Context()))
		}
		s.apply(crm.to("crm", "b")) // is back, and continues at its place
		time.Sleep(time.Minute)
		wantTickets(t, crm, 1, 2, 3)
		if !slices.Contains(bus.tickets(), 2) {
			t.Errorf("bus got %v", bus.tickets())
		}
	})
}

func TestADestinationThatCannotBeOpenedIsPausedWithTheReason(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		d := r.to("crm", "a")
		d.Open = func() (feed.Publisher, error) { return nil, errors.New("no such file") }
		s := newSite(t, d)
		s.set(1)
		time.Sleep(time.Second)
		if of := s.state("crm"); of.State != feed.StatePaused || of.Reason != "no such file" || of.Behind != 1 {
			t.Errorf("status %+v", of)
		}
		if w := s.Warnings(time.Now()); len(w) != 1 || !strings.Contains(w[0], "no such file") {
			t.Errorf("warnings %q", w)
		}
		s.apply(r.to("crm", "b"))
		time.Sleep(time.Second)
		wantTickets(t, r, 1)
		if w := s.Warnings(time.Now()); len(w) != 0 {
			t.Errorf("warnings %q", w)
		}
	})
}

func TestTheNameOfADestinationThatIsGoneIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		s := newSite(t, r.to("crm", "a"))
		s.set(1)
		time.Sleep(time.Second)
		s.apply()
		time.Sleep(71 * time.Hour)
		if all, _ := s.store.Feed().Destinations(t.Context()); len(all) != 1 {
			t.Errorf("destinations %v, want the place still kept", all)
		}
		time.Sleep(2 * time.Hour)
		if all, _ := s.store.Feed().Destinations(t.Context()); len(all) != 0 {
			t.Errorf("destinations %v", all)
		}
	})
}

func TestPauseRewindResume(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		s := newSite(t, r.to("crm", "a"))
		s.Keep(couriers.Keeping{On: true, MaxEvents: 5000, MaxBytes: 1 << 20, For: 240 * time.Hour})
		s.set(1)
		time.Sleep(time.Second)
		begun := time.Now()
		s.set(2)
		time.Sleep(time.Second)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(s.Pause(t.Context(), "crm"))
		s.set(3)
		time.Sleep(time.Hour)
		wantTickets(t, r, 1, 2)
		if of := s.state("crm"); of.State != feed.StateStopped {
			t.Errorf("status %+v", of)
		}
		must(s.Pause(t.Context(), "crm")) // again
		must(s.Rewind(t.Context(), "crm", begun))
		time.Sleep(time.Hour)
		wantTickets(t, r, 1, 2)
		must(s.Resume(t.Context(), "crm"))
		time.Sleep(time.Second)
		wantTickets(t, r, 1, 2, 2, 3)
		must(s.Rewind(t.Context(), "crm", begun))
		time.Sleep(time.Second)
		wantTickets(t, r, 1, 2, 2, 3, 2, 3)
		must(s.Snapshot(t.Context(), "crm"))
		time.Sleep(time.Second)
		wantTickets(t, r, 1, 2, 2, 3, 2, 3, 100)
		must(s.Test(t.Context(), "crm", "user:1"))
		if err := s.Pause(t.Context(), "mail"); !errors.Is(err, couriers.ErrNoDestination) {
			t.Errorf("error %v", err)
		}
	})
}

func TestLettersAreRetriedAndDropped(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{refuse: true}
		s := newSite(t, r.to("crm", "a"))
		s.set(7)
		s.set(8)
		time.Sleep(time.Second)
		s.set(7)
		time.Sleep(3 * time.Hour) // longer than give_up
		letters, err := s.Letters(t.Context(), "crm", 0, 10)
		if err != nil || len(letters) != 2 || letters[0].Held || letters[0].Reason != "422" {
			t.Fatalf("letters %+v, %v", letters, err)
		}
		if w := s.Warnings(time.Now()); len(w) != 1 || !strings.Contains(w[0], "refused 2 events for good") {
			t.Errorf("warnings %q", w)
		}
		if n, err := s.Drop(t.Context(), "crm", []uint64{letters[0].Key}); n != 1 || err != nil {
			t.Errorf("dropped %d, %v", n, err)
		}
		r.mu.Lock()
		r.refuse = false
		r.mu.Unlock()
		if n, err := s.Retry(t.Context(), "crm", nil); n != 1 || err != nil {
			t.Errorf("retried %d, %v", n, err)
		}
		time.Sleep(time.Second)
		wantTickets(t, r, 8, 7)
		if letters, _ := s.Letters(t.Context(), "crm", 0, 10); len(letters) != 0 {
			t.Errorf("letters %+v", letters)
		}
	})
}

// Letters at their bound are retried: each makes room for itself.
func TestLettersAtTheirBoundAreRetried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSite(t)
		for range store.MaxFeedLetters {
			letter := store.FeedLetter{Event: ticket.Event{Kind: ticket.EventUpdated, Ticket: 7, Revision: 1}, At: time.Now()}
			if err := s.Feed().AddLetter(t.Context(), "php", &letter); err != nil {
				t.Fatal(err)
			}
		}
		if n, err := s.Retry(t.Context(), "php", []uint64{1, 2}); n != 2 || err != nil {
			t.Errorf("retried %d, %v", n, err)
		}
		letters, err := s.Letters(t.Context(), "php", store.MaxFeedLetters, 10)
		if err != nil || len(letters) != 2 || !letters[0].Held || !letters[1].Held {
			t.Errorf("letters %+v, %v", letters, err)
		}
	})
}

// The letters of a person's tickets go with the person's events, dead ones and those that are still tried. The erasure is told.
func TestAnErasureTakesTheLettersAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{refuse: true}
		s := newSite(t, r.to("crm", "a"))
		s.set(7)
		s.set(8)
		time.Sleep(3 * time.Hour) // longer than give_up
		s.set(7)
		s.set(9)
		time.Sleep(time.Minute)
		dead := ticket.Event{Kind: ticket.EventUpdated, Ticket: 7, Revision: 1}
		letter := store.FeedLetter{Event: dead, At: time.Now()}
		if err := s.Feed().AddLetter(t.Context(), "a-client", &letter); err != nil {
			t.Fatal(err)
		}
		if err := s.Erase(t.Context(), []ticket.ID{7}); err != nil {
			t.Fatal(err)
		}
		late := store.FeedLetter{Event: dead, Held: true, Since: time.Now(), At: time.Now()} // a courier was about to write it
		if err := s.Feed().AddLetter(t.Context(), "crm", &late); err != nil {
			t.Fatal(err)
		}
		erased := ticket.Event{Kind: ticket.EventErased, Ticket: 7, Revision: 5, At: time.Now()}
		if err := s.Feed().Append(t.Context(), []ticket.Event{erased}); err != nil {
			t.Fatal(err)
		}
		r.mu.Lock()
		r.refuse = false
		r.mu.Unlock()
		time.Sleep(time.Hour)
		for _, name := range []string{"crm", "a-client"} {
			if letters, err := s.Letters(t.Context(), name, 0, 10); len(letters) != 0 || err != nil {
				t.Errorf("%s has letters: %+v, %v", name, letters, err)
			}
		}
		wantTickets(t, r, 8, 9, 7)
		if last := r.got[len(r.got)-1]; last.Kind != ticket.EventErased {
			t.Errorf("%+v", last)
		}
	})
}

func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		s := newSite(t, r.to("crm", "a"))
		for range 100 {
			s.set(1)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if !s.Await(ctx, "crm") {
				t.Error("the destination did not come to the feed's end")
			}
			cancel()
		}
		if n := len(r.tickets()); n != 100 {
			t.Errorf("%d events", n)
		}
		if err := s.Pause(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
		s.set(2)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if s.Await(ctx, "crm") {
			t.Error("a paused destination has the newest event")
		}
	})
}

func TestTheFeedStaysOnWhileAnotherHostNeedsIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		s := newSite(t, r.to("crm", "a"))
		other := couriers.New(couriers.Options{Feed: s.store.Feed(), Log: zerolog.Nop()})
		other.Keep(couriers.Keeping{})
		other.Start(t.Context())
		time.Sleep(time.Minute)
		if usage, _ := s.Usage(t.Context()); !usage.On {
			t.Error("a daemon without destinations switched the feed off")
		}
		s.apply()
		s.Keep(couriers.Keeping{})
		time.Sleep(time.Minute)
		if usage, _ := s.Usage(t.Context()); usage.On {
			t.Error("the feed is on without a reader")
		}
		if err := other.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// At the bound the oldest events go, and the destination learns of the gap; an operator is told before and after.
func TestTheFeedIsBoundedAndTheGapIsTold(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &receiver{}
		d := r.to("crm", "a")
		away := true
		d.Open = func() (feed.Publisher, error) { return gate{r, &away}, nil }
		s := newSite(t, d)
		for range 3000 {
			s.set(1)
		}
		time.Sleep(time.Minute)
		if w := s.Warnings(time.Now()); len(w) != 1 || !strings.Contains(w[0], "3000 events") {
			t.Errorf("warnings %q", w)
		}
		time.Sleep(10 * time.Minute)
		for range 6000 {
			s.set(1)
		}
		r.mu.Lock()
		away = false
		r.mu.Unlock()
		time.Sleep(time.Hour)
		gaps := 0
		r.mu.Lock()
		for _, e := range r.got {
			if e.Kind == ticket.EventGap {
				gaps++
			}
		}
		r.mu.Unlock()
		if w := s.Warnings(time.Now()); gaps != 1 || len(w) != 1 || !strings.Contains(w[0], "feed snapshot crm") {
			t.Errorf("%d gaps, warnings %q", gaps, w)
		}
		if err := s.Snapshot(t.Context(), "crm"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if w := s.Warnings(time.Now()); len(w) != 0 {
			t.Errorf("warnings %q after a snapshot", w)
		}
	})
}

// gate is a destination that may be away.
type gate struct {
	*receiver
	away *bool
}

func (g gate) Publish(ctx context.Context, events []ticket.Event) []feed.Verdict {
	g.mu.Lock()
	away := *g.away
	g.mu.Unlock()
	if !away {
		return g.receiver.Publish(ctx, events)
	}
	verdicts := make([]feed.Verdict, len(events))
	for i := range verdicts {
		verdicts[i].Err = errors.New("connection refused")
	}
	return verdicts
}
