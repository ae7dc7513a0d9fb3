package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/protocol"
)

// tenant is a site's PHP-FPM, which runs as a separate user.
type tenant struct {
	rig  *rig
	web  *testenv.Nginx
	user uint32
}

// newTenant starts a pool of a user that serves testdata/tenant.php.
func newTenant(t *testing.T, r *rig, user uint32) *tenant {
	t.Helper()
	root := filepath.Join(filepath.Dir(r.socket), fmt.Sprint("www", user))
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	copies := exec.CommandContext(t.Context(), "cp", "-r", "../../php-client/ticketd/src", "testdata/tenant.php", root)
	if out, err := copies.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	fpm := testenv.NewPHPFPM(t, testenv.PHPFPMOptions{User: user, Children: 2})
	return &tenant{rig: r, user: user, web: testenv.NewNginx(t, testenv.NginxOptions{Root: root, FastCGI: fpm.Socket()})}
}

// page requests the tenant's page and returns its JSON output.
func (w *tenant) page(t *testing.T, do string, params ...string) string {
	t.Helper()
	query := url.Values{"do": {do}, "socket": {w.rig.socket}, "spool": {w.rig.spool()}}
	for i := 0; i < len(params); i += 2 {
		query.Set(params[i], params[i+1])
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, w.web.URL()+"/tenant.php?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	client := w.web.Client()
	defer client.CloseIdleConnections()
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Said json.RawMessage `json:"said"`
		User uint32          `json:"user"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.User != w.user {
		t.Fatalf("%s: status %d, user %d, %q", do, response.StatusCode, answer.User, body)
	}
	return string(answer.Said)
}

func (w *tenant) want(t *testing.T, said, do string, params ...string) {
	t.Helper()
	if got := w.page(t, do, params...); got != said {
		t.Errorf("user %d, %s %v: %s, want %s", w.user, do, params, got, said)
	}
}

// Two sites of a host, each with its own user and neither with a site's name in its settings, do not touch each other's
// spool: neither can put a file into the other's folder, the other's pending changes are neither seen nor changed, an open
// breaker stops only the own pages, and each change reaches its own site.
func TestTenantsDoNotShareASpool(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t)
	main, other := newTenant(t, r, userOfMain), newTenant(t, r, userOfOther)
	r.Kill()
	for _, w := range []*tenant{main, other} {
		victim := map[*tenant]*tenant{main: other, other: main}[w]
		w.want(t, "0", "set", "id", "1", "value", fmt.Sprint("of ", w.user))
		w.want(t, "[]", "attack", "victim", strconv.Itoa(int(victim.user)))
	}
	for _, w := range []*tenant{main, other} {
		w.want(t, fmt.Sprintf(`["of %d"]`, w.user), "seen", "id", "1")
	}
	main.want(t, "true", "breaker")
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if said := other.page(t, "set", "id", "2", "value", "direct"); said == "0" || strings.Contains(said, "unavailable") {
		t.Errorf("one user's breaker stops another one's pages: %s", said)
	}
	main.want(t, "0", "set", "id", "2", "value", "spooled") // the own breaker does
	c := r.dial(t)
	for site, want := range map[string]string{"main": fmt.Sprint("of ", userOfMain), "other": fmt.Sprint("of ", userOfOther)} {
		c.Site = site
		ticket, err := c.Get(t.Context(), 1)
		if err != nil || field(ticket.Fields, "status").Text() != want {
			t.Errorf("site %s: %v, %v; want %q", site, ticket.Fields, err, want)
		}
	}
}

// A user without a site gets no spool: the page gets the reason and advice, whether the daemon runs or not.
func TestUserWithoutAFolder(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t)
	w := newTenant(t, r, stranger)
	said := w.page(t, "set", "id", "1", "value", "x")
	if !strings.Contains(said, "forbidden") || !strings.Contains(said, "allow_users") {
		t.Errorf("with the daemon: %s", said)
	}
	r.Kill()
	if said := w.page(t, "set", "id", "1", "value", "x"); !strings.Contains(said, "ticketd spool prepare") {
		t.Errorf("without the daemon: %s", said)
	}
}

// hold is a PHP process of a user that opens as many connections as allowed and keeps them until the test ends.
func (r *rig) hold(t *testing.T, user uint32, most int) {
	t.Helper()
	const code = `
		$kept = array();
		for ( $i = 0; $i < (int) $argv[2]; ++$i ) {
			$kept[] = @stream_socket_client( 'unix://' . $argv[1] );
		}
		echo "ready\n";
		sleep( 60 );`
	cmd := exec.CommandContext(t.Context(), "php", "-r", code, "--", r.socket, strconv.Itoa(most))
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
		t.Fatal(err)
	}
}

// A user in no allow list and a busy site's user hold as many connections as they can get: another site's user and root are
// served nevertheless.
func TestTenantsShareTheConnections(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t, "max_connections = 32", `idle_timeout = "1m"`)
	r.hold(t, stranger, 100)
	r.hold(t, userOfOther, 100)
	if out, err := r.as(t, userOfMain, userOfMain, nil, "set", "1", "status=served", "--create"); err != nil {
		t.Errorf("another site's user: %v: %s", err, out)
	}
	r.hold(t, userOfMain, 100)
	out, err := r.as(t, userOfMain, userOfMain, nil, "get", "1")
	if err == nil || !strings.Contains(out, "overloaded") || !strings.Contains(out, "daemon.max_connections (32)") {
		t.Errorf("one more of a user that holds its share: %v: %s", err, out)
	}
	if out, err := r.run(t, "status", "--site", "main"); err != nil {
		t.Errorf("root: %v: %s", err, out)
	}
	out, err = r.as(t, stranger, stranger, nil, "ping")
	requireForbidden(t, "a stranger", out, err)
}

// A spool of version 990c148, open to the web server's group and with changes in it, is ingested; its folder is closed as far
// as plugins of that version allow, and from then on each user has a separate folder.
func TestSpoolOfAnOlderVersion(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t)
	r.Kill()
	if err := os.RemoveAll(r.spool()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(filepath.Dir(r.socket), "state", "spool-folder")); err != nil { // not in that version
		t.Fatal(err)
	}
	if err := os.Mkdir(r.spool(), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(r.spool(), os.ModeSetgid|0o770); err != nil {
		t.Fatal(err)
	}
	s := &spooler{dir: r.spool()}
	for i, user := range []int{userOfMain, userOfOther} {
		p := set(9, "status", "from before")
		p.RequestID = fmt.Sprint("r", i)
		path := s.put(t, protocol.MethodSet, 9, &p)
		if err := os.Chown(path, user, nobodysGroup); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, prefix := range []string{"", "other:"} {
		if got, err := r.redis.HGet(t.Context(), prefix+"ticket:9", "status").Result(); err != nil || got != "from before" {
			t.Errorf("%sticket 9: %q, %v", prefix, got, err)
		}
	}
	for name, want := range map[string]os.FileMode{
		".":                       os.ModeDir | os.ModeSetgid | os.ModeSticky | 0o771,
		strconv.Itoa(userOfMain):  os.ModeDir | os.ModeSetgid | 0o770,
		strconv.Itoa(userOfOther): os.ModeDir | os.ModeSetgid | 0o770,
	} {
		if info, err := os.Stat(filepath.Join(r.spool(), name)); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info, err, want)
		}
	}
}

// 'ticketd spool prepare' makes the folders that the daemon may not make, reports its actions, and may be repeated; it does
// not need the secrets of the configuration.
func TestPrepareCommand(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give a folder to another user")
	}
	dir := testenv.Folder(t)
	config, spool := filepath.Join(dir, "c.toml"), filepath.Join(dir, "spool")
	writeFile(t, config, fmt.Sprintf("[daemon]\nspool_dir = %q\n[sites.main]\ndsn_file = \"/nonexistent/dsn\"\n"+
		"allow_users = [\"%d\", \"%d\"]\n",
		spool, userOfMain, userOfOther))
	prepare := func() string {
		out, err := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "spool", "prepare", "--config", config).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := prepare(); !strings.Contains(out, fmt.Sprintf("%s/%d: user %d", spool, userOfOther, userOfOther)) {
		t.Errorf("it says %q", out)
	}
	if out := prepare(); out != "" {
		t.Errorf("the second time it says %q", out)
	}
	if err := os.Chown(filepath.Join(spool, strconv.Itoa(userOfMain)), userOfOther, -1); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), testenv.TicketdBinary(t), "spool", "prepare", "--config", config).CombinedOutput()
	if err == nil || !strings.Contains(string(out), fmt.Sprintf("belongs to user %d", userOfOther)) {
		t.Errorf("a folder that was given away: %v: %s", err, out)
	}
}

// A change that a user's client spooled while the daemon served other requests is made before that user's next request; for a
// site with two users the changes have a single order.
func TestFoldersOfASiteAreOneOrder(t *testing.T) {
	t.Parallel()
	r := newSharedRig(t)
	c := r.dial(t)
	c.Site = "main"
	folders := map[int]*spooler{}
	for _, user := range []int{0, userOfMain} {
		folders[user] = &spooler{dir: filepath.Join(r.spool(), strconv.Itoa(user))}
	}
	for i := range 20 {
		for _, user := range []int{userOfMain, 0, userOfMain} {
			p := set(7, "status", fmt.Sprint(i, " of ", user))
			p.Site, p.RequestID = "main", fmt.Sprint(i, "-", user, "-", folders[user].sent)
			name := folders[user].name(7)
			tmp := filepath.Join(folders[user].dir, ".tmp-"+name)
			if err := os.WriteFile(tmp, requestFrame(t, protocol.MethodSet, &p), 0o640); err != nil {
				t.Fatal(err)
			}
			if err := os.Chown(tmp, user, -1); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(tmp, filepath.Join(folders[user].dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		ticket, err := c.Get(t.Context(), 7)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := field(ticket.Fields, "status").Text(), fmt.Sprint(i, " of ", userOfMain); got != want {
			t.Fatalf("the last change is %q, want %q", got, want)
		}
	}
}
