package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// clone starts another daemon of the site on a host made from an image of this host, state folder and journal included.
func (r *rig) clone(t *testing.T) *rig {
	t.Helper()
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	other := &rig{socket: filepath.Join(testenv.Folder(t), "d.sock"), redis: r.redis, prefix: r.prefix, db: r.db}
	from, to := filepath.Dir(r.socket)+"/.", filepath.Dir(other.socket)
	image := exec.CommandContext(t.Context(), "cp", "-a", from, to)
	if out, err := image.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	other.proxy = testenv.NewProxy(t, r.proxy.Target(), 0)
	config := strings.NewReplacer(filepath.Dir(r.socket), filepath.Dir(other.socket), r.proxy.Socket(), other.proxy.Socket()).
		Replace(r.text)
	other.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: config})
	return other
}

// The two hosts acknowledge from journals with the same id: Redis has all changes, and the host that continues under a new id
// says so.
func TestTwoHostsOfOneImage(t *testing.T) {
	t.Parallel()
	a := newRig(t, rigOptions{redis: testenv.NewRedis(t, testenv.RedisOptions{}), site: "ack = \"journal\"\nlinger = \"5ms\""})
	mustSet(t, a.dial(t), 1, "subject", "start")
	b := a.clone(t)
	ca, cb := a.dial(t), b.dial(t)
	for id := int64(10); id < 20; id++ {
		mustSet(t, cb, id, "subject", "from B")
		mustSet(t, ca, id+100, "subject", "from A")
	}
	testenv.Eventually(t, 10*time.Second, "everything that was acknowledged is in MySQL", func() bool {
		for id := int64(10); id < 20; id++ {
			if column(t, a.db, "subject", id) != "from B" || column(t, a.db, "subject", id+100) != "from A" {
				return false
			}
		}
		return true
	})
	said := 0
	for _, c := range []*protocol.Client{ca, cb} {
		status, err := c.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		said += strings.Count(strings.Join(status.Warnings, "\n"), "cloned from one image")
	}
	if said == 0 {
		t.Error("no daemon says that its journal has a twin")
	}
}
