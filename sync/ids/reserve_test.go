package ids_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/ids"
)

// host is a daemon's state folder with the daemon's data about its site.
type host struct {
	dir, identity, boot, numbering string
	sequence                       *sequence
}

const block = 80

func newHost(t *testing.T) *host {
	t.Helper()
	return &host{dir: t.TempDir(), identity: "main", boot: "1", sequence: &sequence{}}
}

func (h *host) file() string { return filepath.Join(h.dir, "ids") }

// start starts an allocator on the folder, which the test stops or kills.
func (h *host) start(t *testing.T) *ids.Allocator {
	t.Helper()
	a := ids.New(h.sequence.lease, h.sequence.table.taken, block)
	a.Keep(ids.KeepOptions{
		Dir: h.dir, Name: "ids", Boot: h.boot, Log: zerolog.Nop(), Owner: func() string { return h.identity },
		Numbering: func(context.Context) (string, error) { return h.numbering, nil },
	})
	a.Start(t.Context())
	synctest.Wait()
	return a
}

func stop(t *testing.T, a *ids.Allocator) {
	t.Helper()
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// given are the assigned ids of all hosts.
type given map[ticket.ID]bool

func (g given) next(t *testing.T, a *ids.Allocator) error {
	t.Helper()
	id, err := a.Next(t.Context())
	if err == nil && g[id] {
		t.Fatalf("id %d was given twice", id)
	}
	g[id] = err == nil
	return err
}

// exhaust takes ids until no id is left.
func (g given) exhaust(t *testing.T, a *ids.Allocator) (n int) {
	t.Helper()
	for ; ; n++ {
		if err := g.next(t, a); errors.Is(err, ids.ErrExhausted) {
			return n
		} else if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
	}
}

// While the database is unreachable, a restarted daemon has the ids that the daemon before has not assigned: all of them after a
// stop, most of them after a kill.
func TestUnusedIDsSurviveARestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]struct {
		end  func(t *testing.T, a *ids.Allocator)
		lost int
	}{
		"stopped": {stop, 0}, "killed": {func(_ *testing.T, a *ids.Allocator) { a.Kill() }, 2 * block / 8},
	} {
		synctest.Test(t, func(t *testing.T) {
			h, g := newHost(t), given{}
			a := h.start(t)
			for range 15 {
				if err := g.next(t, a); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
			}
			leased := h.sequence.next
			h.sequence.away.Store(true)
			end.end(t, a)
			a = h.start(t)
			defer a.Kill()
			if n := g.exhaust(t, a); n < int(leased)-15-end.lost || n > int(leased)-15 || n < block/2 {
				t.Errorf("%s: %d ids after the restart, of %d leased", name, n, leased)
			}
		})
	}
}

// A file gives ids only if it is the newest version, on the host that wrote it, before a restart of that host, and for its own
// table.
func TestKeptIDsOfElsewhereAreNotGiven(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, h *host, old []byte){
		"another table": func(_ *testing.T, h *host, _ []byte) { h.identity = "staging" },
		"the key of the table is AUTO_INCREMENT now":               func(_ *testing.T, h *host, _ []byte) { h.numbering = "fenced" },
		"the host was started anew, or the disk is another host's": func(_ *testing.T, h *host, _ []byte) { h.boot = "2" },
		"restored in place": func(t *testing.T, h *host, old []byte) { // as cp does
			t.Helper()
			if err := os.WriteFile(h.file(), old, 0o600); err != nil {
				t.Fatal(err)
			}
		},
		"restored": func(t *testing.T, h *host, old []byte) { // as tar does
			t.Helper()
			if err := errors.Join(os.Remove(h.file()), os.WriteFile(h.file(), old, 0o600)); err != nil {
				t.Fatal(err)
			}
		},
		"another name of an old version": func(t *testing.T, h *host, _ []byte) {
			t.Helper()
			if err := os.Rename(h.file()+".link", h.file()); err != nil {
				t.Fatal(err)
			}
		},
		"torn": func(t *testing.T, h *host, old []byte) {
			t.Helper()
			if err := os.Truncate(h.file(), int64(len(old)/2)); err != nil {
				t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h, g := newHost(t), given{}
				a := h.start(t)
				old, err := os.ReadFile(h.file())
				if err := errors.Join(err, os.Link(h.file(), h.file()+".link")); err != nil {
					t.Fatal(err)
				}
				for range 50 {
					if err := g.next(t, a); err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
				}
				stop(t, a)
				h.sequence.away.Store(true)
				change(t, h, old)
				a = h.start(t)
				defer a.Kill()
				if n := g.exhaust(t, a); n != 0 {
					t.Errorf("%d ids were given", n)
				}
			})
		})
	}
}

// A folder that is moved away under the daemon, and put back later, holds no id that was assigned meanwhile; a second daemon on
// the same folder gets none of the first daemon's ids.
func TestFolderOfKeptIDsIsMoved(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, g := newHost(t), given{}
		first := h.start(t)
		second := h.start(t)
		for range 2 * block {
			if err := errors.Join(g.next(t, first), g.next(t, second)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		second.Kill()
		if err := errors.Join(os.Rename(h.dir, h.dir+".away"), os.Mkdir(h.dir, 0o700)); err != nil {
			t.Fatal(err)
		}
		for range 2 * block {
			if err := g.next(t, first); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		first.Kill()
		if err := errors.Join(os.Remove(h.dir), os.Rename(h.dir+".away", h.dir)); err != nil {
			t.Fatal(err)
		}
		h.sequence.away.Store(true)
		a := h.start(t)
		defer a.Kill()
		if n := g.exhaust(t, a); n < block/2 {
			t.Errorf("%d ids after the folder was put back, want most of a block", n)
		}
	})
}

// Whatever happens to daemon, file and database: no id is assigned twice.
func TestKeptIDsAreGivenOnce(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 14))
			h, g := newHost(t), given{}
			a := h.start(t)
			var old []byte
			for range 300 {
				switch r.IntN(12) {
				case 0:
					stop(t, a)
					a = h.start(t)
				case 1:
					a.Kill()
					a = h.start(t)
				case 2:
					h.sequence.away.Store(!h.sequence.away.Load())
				case 3:
					old, _ = os.ReadFile(h.file())
				case 4:
					a.Kill()
					if len(old) > 0 {
						_ = os.WriteFile(h.file(), old, 0o600)
					}
					a = h.start(t)
				case 5:
					_ = os.Chmod(h.dir, []os.FileMode{0o500, 0o700}[r.IntN(2)])
				default:
					for range r.IntN(15) {
						if g.next(t, a) != nil {
							break
						}
						synctest.Wait()
					}
				}
			}
			a.Kill()
			_ = os.Chmod(h.dir, 0o700)
		})
	}
}

// Removing the file makes also a running daemon forget the file's ids; only the ids in memory remain.
func TestRemovedIDsAreForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, g := newHost(t), given{}
		a := h.start(t)
		h.sequence.mu.Lock()
		h.sequence.next = 1000
		h.sequence.mu.Unlock()
		if err := os.Remove(h.file()); err != nil {
			t.Fatal(err)
		}
		for range block {
			if err := g.next(t, a); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		stop(t, a)
		for id := range g {
			if id > 2*block/8+block/8 && id < 1000 {
				t.Errorf("id %d was given", id)
			}
		}
	})
}
