package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// Users and groups that no machine has. Site main is for the first user and for a group, site other for the second user.
const (
	userOfMain, userOfOther, stranger = 64101, 64102, 64103
	groupOfMain, nobodysGroup         = 64111, 64112
)

// newSharedRig is a daemon with two sites on a socket to which the kernel admits everybody: the daemon alone decides on
// rights. lines extend the section [daemon].
func newSharedRig(t *testing.T, daemon ...string) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can run a command as another user")
	}
	dir, err := os.MkdirTemp("", "ticketd-open-") //nolint:usetesting // the tests' own folder is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	redis := testenv.NewRedis(t, testenv.RedisOptions{})
	mariadb, database := testenv.SharedMariaDB(t)
	r := &rig{socket: filepath.Join(dir, "d.sock"), db: mariadb.DB(t, database), redis: redis.Client(t)}
	dsn := mariadb.DSN(database)
	r.text = fmt.Sprintf("[daemon]\nsocket = %q\nsocket_mode = \"0666\"\nstate_dir = %q\nspool_dir = %q\n%s\n[redis]\naddr = %q\n"+
		"[sites.main]\ndsn = %q\nallow_users = [\"%d\"]\nallow_groups = [\"%d\"]\n"+
		"[sites.other]\ndsn = %q\ntable_prefix = \"other_\"\nkey_prefix = \"other:\"\nallow_users = [\"%d\"]\n",
		r.socket, filepath.Join(dir, "state"), r.spool(), strings.Join(daemon, "\n"), "unix://"+redis.Socket(),
		dsn, userOfMain, groupOfMain, dsn, userOfOther)
	for _, site := range []string{"main", "other"} {
		file := filepath.Join(testenv.Folder(t), "migrate.toml")
		writeFile(t, file, r.text)
		migrate := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "migrate", "--config", file, "--site", site)
		out, err := migrate.CombinedOutput()
		if err != nil {
			t.Fatalf("ticketd migrate: %v\n%s", err, out)
		}
	}
	r.Ticketd = testenv.NewTicketd(t, testenv.TicketdOptions{Config: r.text})
	return r
}

// as runs a command of the binary as another user, who need not be able to reach the file: the command gets a descriptor of
// the file.
func (r *rig) as(t *testing.T, uid, gid uint32, groups []uint32, args ...string) (string, error) {
	t.Helper()
	binary, err := os.Open(testenv.TicketdBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = binary.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/fd/3", append(args, "--socket", r.socket)...)
	cmd.ExtraFiles, cmd.Dir, cmd.Env = []*os.File{binary}, "/", []string{"GORACE=atexit_sleep_ms=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: gid, Groups: groups}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The user and the primary group of the connecting process decide on the sites. No user reaches another site by naming it or
// learns which sites exist, and a refused request has changed nothing.
func TestPeersOfSites(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t)
	c := r.dial(t)
	for _, site := range []string{"main", "other"} {
		c.Site = site
		if _, err := c.Set(t.Context(), set(1, "status", "untouched")); err != nil {
			t.Fatal(err)
		}
	}
	own := uint32(nobodysGroup)
	for name, p := range map[string]struct {
		uid, gid uint32
		groups   []uint32
		may      string // the site; empty for no site
	}{
		"main's user":                {userOfMain, own, nil, "main"},
		"other's user":               {userOfOther, own, nil, "other"},
		"a stranger":                 {stranger, own, nil, ""},
		"a stranger in main's group": {stranger, groupOfMain, nil, "main"},
		"main's group, not primary":  {stranger, own, []uint32{groupOfMain}, ""},
		"a user id as group id":      {stranger, userOfMain, nil, ""},
		"a group id as user id":      {groupOfMain, own, nil, ""},
		"nobody":                     {65534, 65534, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := r.as(t, p.uid, p.gid, p.groups, "get", "1")
			if p.may != "" && (err != nil || !strings.Contains(out, "untouched")) {
				t.Errorf("its own site: %v: %s", err, out)
			}
			if p.may == "" {
				requireForbidden(t, "no site named", out, err)
			}
			for _, site := range []string{"main", "other", "none", "Main", "main ", "../main"} {
				if site == p.may {
					continue
				}
				for _, args := range everyCommand() {
					out, err := r.as(t, p.uid, p.gid, p.groups, append(args, "--site", site)...)
					requireForbidden(t, fmt.Sprintf("%v of site %q", args, site), out, err)
				}
			}
		})
	}
	t.Cleanup(func() {
		for table, prefix := range map[string]string{"wp_": "", "other_": "other:"} {
			if got, err := r.redis.HGet(context.Background(), prefix+"ticket:1", "status").Result(); err != nil || got != "untouched" {
				t.Errorf("%s: ticket 1 is %q (%v)", table, got, err)
			}
		}
	})
}

// everyCommand has a command for each method that changes or shows data.
func everyCommand() [][]string {
	return [][]string{
		{"ping"}, {"status"}, {"get", "1"}, {"set", "1", "status=stolen"}, {"create", "status=stolen"}, {"delete", "1"}, {"list"},
		{"flush", "--timeout", "2s"}, {"dead", "list"}, {"dead", "retry", "--all"}, {"dead", "drop", "--all", "--yes"},
	}
}

func requireForbidden(t *testing.T, what, out string, err error) {
	t.Helper()
	if err == nil || !strings.Contains(out, "may not use") {
		t.Errorf("%s: %v: %s", what, err, out)
	}
	for _, secret := range []string{"untouched", "other:", "wp_", "main,"} {
		if strings.Contains(out, secret) {
			t.Errorf("%s tells of what is not its business: %s", what, out)
		}
	}
}

// A file that an older client leaves in the shared folder is judged by its owner, like a connection by its peer, site by
// site. The file's group proves nothing: it comes from the folder.
func TestOwnersOfSpooledChanges(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t)
	s := &spooler{dir: r.spool()}
	for i, c := range []struct {
		uid, gid int
		site     string
		taken    bool
	}{
		{userOfMain, nobodysGroup, "main", true}, {userOfMain, nobodysGroup, "other", false},
		{userOfOther, nobodysGroup, "other", true}, {userOfOther, nobodysGroup, "main", false},
		{stranger, groupOfMain, "main", false}, {stranger, groupOfMain, "other", false},
		{stranger, nobodysGroup, "main", false}, {stranger, nobodysGroup, "", false}, {userOfMain, nobodysGroup, "none", false},
	} {
		id := int64(100 + i)
		p := withRequest(set(id, "status", "spooled"), fmt.Sprint("r", i))
		p.Site = c.site
		name := s.name(id)
		hidden := filepath.Join(s.dir, ".tmp-"+name)
		if err := os.WriteFile(hidden, requestFrame(t, protocol.MethodSet, &p), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(hidden, c.uid, c.gid); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(hidden, filepath.Join(s.dir, name)); err != nil {
			t.Fatal(err)
		}
		client := r.dial(t)
		if client.Site = "main"; c.site == "other" {
			client.Site = "other" // whose calls ingest the file
		}
		if _, err := client.Status(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, _ = client.Get(t.Context(), id) // earlier files in the spool are ingested first
		prefix := ""
		if c.site == "other" {
			prefix = "other:"
		}
		got, err := r.redis.HGet(t.Context(), prefix+"ticket:"+strconv.FormatInt(id, 10), "status").Result()
		if taken := err == nil && got == "spooled"; taken != c.taken {
			t.Errorf("user %d, group %d, site %q: taken %v, want %v", c.uid, c.gid, c.site, taken, c.taken)
		}
		reason, err := os.ReadFile(filepath.Join(s.dir, "bad", name+".reason"))
		if aside := err == nil && strings.Contains(string(reason), "code: forbidden"); aside == c.taken {
			t.Errorf("user %d, group %d, site %q: set aside %v: %s", c.uid, c.gid, c.site, aside, reason)
		}
	}
}

// The daemon keeps no descriptors that a client sends along with its requests (SCM_RIGHTS).
func TestDescriptorsSentAreDropped(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{})
	c := r.dial(t)
	if _, err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: r.socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = null.Close() }()
	const most = 200 // of a message: SCM_MAX_FD is 253
	rights := unix.UnixRights(slices.Repeat([]int{int(null.Fd())}, most)...)
	ping := requestFrame(t, protocol.MethodPing, &protocol.SiteParams{})
	for range 20 {
		if _, _, err := conn.WriteMsgUnix(ping, rights, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := protocol.ReadFrame(conn, nil); err != nil {
			t.Fatal(err)
		}
	}
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if len(open) > most {
		t.Errorf("the daemon has %d descriptors open", len(open))
	}
}
