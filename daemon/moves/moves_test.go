package moves

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/ticket"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// after returns the time so many seconds after noon.
func after(seconds int) time.Time { return noon.Add(time.Duration(seconds) * time.Second) }

// move is a create acknowledged after so many seconds, with its other id after so many.
func move(from, to ticket.ID, request string, since, at int) Move {
	return Move{Create: Create{ID: from, Request: request, Since: after(since)}, To: to, At: after(at)}
}

type book struct {
	*Register
	opts Options
	log  testenv.Buffer
}

func newBook(t *testing.T, all ...Move) *book {
	t.Helper()
	b := &book{opts: Options{Path: filepath.Join(t.TempDir(), "moves")}}
	b.opts.Log = zerolog.New(&b.log)
	b.open(t)
	for _, m := range all {
		if err := b.Keep(m); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// open reads the file again, like a starting daemon.
func (b *book) open(t *testing.T) {
	t.Helper()
	var err error
	if b.Register, err = Open(b.opts); err != nil {
		t.Fatal(err)
	}
}

func (b *book) want(t *testing.T, id ticket.ID, at int, want ticket.ID) {
	t.Helper()
	got, done := b.Use(id, after(at))
	done()
	if got != want {
		t.Errorf("a change of ticket %d after %d s is one of %d, want %d", id, at, got, want)
	}
}

// A change belongs to the ticket of the last create under its id that was acknowledged before the change and moved after the
// change, whenever the daemon ended.
func TestUse(t *testing.T) {
	t.Parallel()
	b := newBook(t,
		move(7, 1001, "first", 10, 100), move(7, 1002, "second", 50, 100), // the second client received the same id
		move(8, 1003, "", 10, 100), move(1003, 2001, "", 10, 200), // moved twice
		move(9, 1004, "third", 10, 100), move(1004, 1005, "another", 90, 120), // a client counted up to a used id
	)
	for range 2 {
		b.want(t, 7, 9, 7)
		b.want(t, 7, 10, 1001)
		b.want(t, 7, 49, 1001)
		b.want(t, 7, 50, 1002)
		b.want(t, 7, 100, 1002)
		b.want(t, 7, 101, 7)
		b.want(t, 6, 50, 6)
		b.want(t, 8, 50, 2001)
		b.want(t, 1003, 150, 2001)
		b.want(t, 9, 50, 1004)
		b.want(t, 1004, 50, 1004)
		b.want(t, 1004, 100, 1005)
		b.open(t)
	}
}

// A create is found by its id, its request and its time. Begin is known before the new id.
func TestFind(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	m := move(7, 1001, "r", 10, 100)
	want := func(c Create, id ticket.ID, isBegun bool) {
		t.Helper()
		if to, begun := b.Find(c); to != id || begun != isBegun {
			t.Errorf("%+v: %d, begun %v, want %d, %v", c, to, begun, id, isBegun)
		}
	}
	want(m.Create, 0, false)
	if err := b.Begin(m.Create); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	want(m.Create, 0, true)
	b.want(t, 7, 50, 7)
	if err := b.Keep(m); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	want(m.Create, 1001, true)
	for _, other := range []Create{{8, "r", after(10)}, {7, "s", after(10)}, {7, "r", after(11)}} {
		want(other, 0, false)
	}
}

// A repeated report, as after a restart, is the same move, with its first time.
func TestKeepAgain(t *testing.T) {
	t.Parallel()
	b := newBook(t, move(7, 1001, "r", 10, 100), move(7, 1001, "r", 10, 200), move(7, 1001, "r", 90, 300))
	b.want(t, 7, 150, 7)
	if all := b.Since(noon); len(all) != 1 || !all[0].At.Equal(after(100)) {
		t.Errorf("%+v, want one, of the first time", all)
	}
	if all := b.Since(after(100)); len(all) != 0 {
		t.Errorf("%+v after the last", all)
	}
}

// A file that a crash or a full disk has cut off is read up to the cut, and then extended.
func TestTornFile(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]int{"within the line": 10, "before its end": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBook(t, move(7, 1001, "r", 10, 100), move(8, 1002, "s", 10, 100))
			text, err := os.ReadFile(b.opts.Path)
			if err == nil {
				err = os.WriteFile(b.opts.Path, text[:len(text)-cut], 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			b.open(t)
			if err := b.Keep(move(9, 1003, "t", 10, 100)); err != nil {
				t.Fatal(err)
			}
			b.open(t)
			b.want(t, 7, 50, 1001)
			b.want(t, 9, 50, 1003)
			if n := strings.Count(b.log.String(), "unreadable line"); n > 1 {
				t.Errorf("the log says so %d times:\n%s", n, &b.log)
			}
		})
	}
}

// An unwritable move is known while the daemon runs, is reported, and is written when the disk permits.
func TestUnwritable(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	if err := os.Mkdir(b.opts.Path, 0o700); err != nil {
		t.Fatal(err)
	}
	m := move(7, 1001, "r", 10, 100)
	for _, try := range []error{b.Begin(m.Create), b.Keep(m), b.Keep(m)} {
		if try == nil {
			t.Error("a folder was written to")
		}
	}
	b.want(t, 7, 50, 1001)
	if to, begun := b.Find(m.Create); to != 0 || !begun {
		t.Errorf("to %d, begun %v: what is not on disk counts as done", to, begun)
	}
	if err := errors.Join(os.Remove(b.opts.Path), b.Keep(m)); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	b.want(t, 7, 50, 1001)
}

// A move belongs to the table of its ids.
func TestMoveOfAnotherTable(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	table := "ours"
	b.opts.Table, b.opts.Owns = func() string { return table }, func(identity string) bool { return identity == table }
	b.open(t)
	if err := b.Keep(move(7, 1001, "r", 10, 100)); err != nil {
		t.Fatal(err)
	}
	b.want(t, 7, 50, 1001)
	table = "theirs"
	b.want(t, 7, 50, 7)
	if all := b.Since(noon); len(all) != 0 {
		t.Errorf("%+v are named", all)
	}
	if _, begun := b.Find(Create{7, "r", after(10)}); begun {
		t.Error("a create of another table is found")
	}
}

// While a change acknowledged for a ticket's id is being made, the ticket keeps its id.
func TestMovingWhileInUse(t *testing.T) {
	t.Parallel()
	b := newBook(t, move(7, 1001, "r", 10, 100))
	moving := func(id ticket.ID) (ran bool, err error) {
		err = b.Moving(id, func() error { ran = true; return nil })
		return ran, err
	}
	_, first := b.Use(7, after(50))
	_, second := b.Use(7, after(50))
	first()
	if ran, err := moving(1001); !errors.Is(err, errInUse) || ran {
		t.Errorf("the ticket in use: %v, moved %v", err, ran)
	}
	if ran, err := moving(7); err != nil || !ran {
		t.Errorf("another ticket: %v, moved %v", err, ran)
	}
	second()
	if ran, err := moving(1001); err != nil || !ran {
		t.Errorf("afterwards: %v, moved %v", err, ran)
	}
}

// Old moves are dropped when no file waits in the spool.
func TestSettled(t *testing.T) {
	t.Parallel()
	b := newBook(t, move(7, 1001, "r", 10, 100), move(8, 1002, "s", 10, 200))
	b.Settled(after(100).Add(KeptFor))
	b.want(t, 7, 50, 1001)
	b.Settled(after(101).Add(KeptFor))
	b.open(t)
	b.want(t, 7, 50, 7)
	b.want(t, 8, 50, 1002)
}

// Beyond the bound the oldest moves are dropped, and the log says so.
func TestTooManyMoves(t *testing.T) {
	t.Parallel()
	b := newBook(t)
	for i := range maxMoves { // in memory, as if read from a file, for speed
		m := move(ticket.ID(i+1), ticket.ID(1e6+i), "", 10, 100)
		b.note(&m).stored = true
	}
	if err := b.Keep(move(maxMoves+1, 2e6, "", 10, 100)); err != nil {
		t.Fatal(err)
	}
	b.open(t)
	b.want(t, 1, 50, 1)
	b.want(t, maxMoves, 50, 1e6+maxMoves-1)
	b.want(t, maxMoves+1, 50, 2e6)
	if !strings.Contains(b.log.String(), "too many") {
		t.Errorf("the log says nothing of it:\n%s", &b.log)
	}
}
