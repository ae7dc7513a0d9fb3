package main

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/testenv"
)

// The image's root, run as an engine runs it: with namespaces of its own for mounts and processes, the image's user and groups,
// environment and command, and nothing else on its disk. PHP is user 33 in another container.
func TestRootOfTheImage(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give folders to other users and change the root")
	}
	for _, tool := range []string{"unshare", "chroot"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	database := testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true})
	redis := testenv.NewRedis(t, testenv.RedisOptions{TCP: true})
	for name, way := range map[string]way{
		// Docker and Podman give an empty volume the owner and mode of the image's folder.
		"compose": {user: daemonID, prepare: true},
		// Kubernetes gives volumes to root and the pod's fsGroup.
		"kubernetes": {user: daemonID, fsGroup: daemonID, prepare: true},
		// Without root: PHP and daemon are the same user.
		"restricted": {user: 33, fsGroup: 33, above: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := database.CreateDatabase(t.Context(), name); err != nil {
				t.Fatal(err)
			}
			c := &container{t: t, root: testenv.Folder(t), way: way, environ: []string{
				"TICKETD_SITES_MAIN_DSN=root@tcp(" + database.Addr() + ")/" + name, "TICKETD_SITES_MAIN_ALLOW_USERS=33",
				"TICKETD_SITES_MAIN_KEY_PREFIX=" + name + ":", "TICKETD_REDIS_ADDR=" + redis.Addr(),
			}}
			c.unpack()
			c.prepare()
			c.must(c.daemon(), "migrate")
			c.serve()
			c.must(c.daemon(), "ping", "--timeout", "2s") // the health check
			php := identity{user: 33, groups: []int{33}}
			id := strings.TrimSpace(c.must(php, "create", "subject=from the other container"))
			c.must(php, "flush")
			var subject string
			row := database.DB(t, name).QueryRowContext(t.Context(), "SELECT subject FROM wp_support_tickets WHERE ticket_id = "+id)
			if err := row.Scan(&subject); err != nil || subject != "from the other container" {
				t.Errorf("MySQL has %q (%v)", subject, err)
			}
			c.spoolIsPHPs()
			if out, err := c.run(identity{user: 34, groups: []int{34}}, "ping"); err == nil {
				t.Errorf("a user that is not allowed gets an answer: %s", out)
			}
		})
	}
}

// way is how an engine runs the image.
type way struct {
	user    int
	fsGroup int  // owns the volumes with root, as in Kubernetes; 0 leaves them as the image has them
	above   bool // the spool's volume is mounted one folder above, so that the daemon makes the spool's folder
	prepare bool // a container of root's prepares the spool
}

// identity is a user with groups; the first group is the user's own.
type identity struct {
	user   int
	groups []int
}

type container struct {
	t       *testing.T
	root    string
	way     way
	environ []string
}

// binary builds the program as the image gets it.
var binary = sync.OnceValues(func() ([]byte, error) {
	dir, err := testenv.ProcessFolder()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, "static-ticketd")
	build := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", path,
		"github.com/ticketd/ticketd/cmd/ticketd")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	return os.ReadFile(path)
})

// unpack writes the layer's files with their owners, and what an engine adds.
func (c *container) unpack() {
	c.t.Helper()
	program, err := binary()
	if err != nil {
		c.t.Fatal(err)
	}
	b := builder{version: "0", created: time.Unix(0, 0)}
	files, err := b.files(program)
	if err != nil {
		c.t.Fatal(err)
	}
	packed, err := pack(files, b.created)
	if err != nil {
		c.t.Fatal(err)
	}
	layer := tar.NewReader(bytes.NewReader(packed))
	for header, err := layer.Next(); err == nil; header, err = layer.Next() {
		c.put(header, layer)
	}
	for _, v := range volumes {
		if c.way.above && v.path == "var/spool/ticketd" {
			if err := os.Remove(filepath.Join(c.root, v.path)); err != nil {
				c.t.Fatal(err)
			}
			v.path = "var/spool"
		}
		if c.way.fsGroup != 0 {
			c.give(v.path, 0, c.way.fsGroup, 0o2777)
		}
	}
	if err := os.Mkdir(filepath.Join(c.root, "proc"), 0o555); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Chmod(c.root, 0o755); err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) put(header *tar.Header, content *tar.Reader) {
	c.t.Helper()
	at := filepath.Join(c.root, header.Name)
	var err error
	if header.Typeflag == tar.TypeDir {
		err = os.Mkdir(at, 0o700)
	} else {
		text := new(bytes.Buffer)
		if _, err = text.ReadFrom(content); err == nil {
			err = os.WriteFile(at, text.Bytes(), 0o600)
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
	c.give(header.Name, header.Uid, header.Gid, uint32(header.Mode))
}

// give sets owner and mode; mode has the bits of chmod(2).
func (c *container) give(path string, user, group int, mode uint32) {
	c.t.Helper()
	at := filepath.Join(c.root, path)
	if err := os.Chown(at, user, group); err != nil {
		c.t.Fatal(err)
	}
	if err := syscall.Chmod(at, mode); err != nil {
		c.t.Fatal(err)
	}
}

func (c *container) prepare() {
	c.t.Helper()
	if c.way.prepare {
		c.must(identity{groups: []int{0}}, "spool", "prepare", "--user", strconv.Itoa(daemonID))
	}
}

// daemon is the daemon's user with the groups that an engine reads from the image, and Kubernetes' fsGroup.
func (c *container) daemon() identity {
	c.t.Helper()
	who := identity{user: c.way.user, groups: []int{c.way.user}}
	name := ""
	for line := range strings.Lines(passwd) {
		if fields := strings.Split(line, ":"); fields[2] == strconv.Itoa(who.user) {
			name = fields[0]
		}
	}
	for line := range strings.Lines(groups) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if id, err := strconv.Atoi(fields[2]); err == nil && name != "" && fields[3] == name {
			who.groups = append(who.groups, id)
		}
	}
	if c.way.fsGroup != 0 {
		who.groups = append(who.groups, c.way.fsGroup)
	}
	return who
}

// command makes a command that runs in the image's root, as the first process of its own namespace.
func (c *container) command(ctx context.Context, who identity, args ...string) *exec.Cmd {
	groups := make([]string, len(who.groups))
	for i, id := range who.groups {
		groups[i] = strconv.Itoa(id)
	}
	all := []string{
		"--mount", "--pid", "--fork", "--kill-child", "--mount-proc=" + filepath.Join(c.root, "proc"), "chroot",
		fmt.Sprintf("--userspec=%d:%d", who.user, who.groups[0]), "--groups=" + strings.Join(groups, ","), c.root, "/usr/bin/ticketd",
	}
	cmd := exec.CommandContext(ctx, "unshare", append(all, args...)...)
	cmd.Env = append([]string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TICKETD_DAEMON_SOCKET_GROUP=" + webGroup}, c.environ...)
	return cmd
}

func (c *container) run(who identity, args ...string) (string, error) {
	out, err := c.command(c.t.Context(), who, args...).CombinedOutput()
	return string(out), err
}

func (c *container) must(who identity, args ...string) string {
	c.t.Helper()
	cmd := c.command(c.t.Context(), who, args...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		c.t.Fatalf("ticketd %s: %v\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out)
}

// serve starts the daemon, and ends it with the test by the image's signal.
func (c *container) serve() {
	c.t.Helper()
	const ready = "/tmp/ready"
	notify, err := testenv.ListenNotify(filepath.Join(c.root, ready))
	if err != nil {
		c.t.Fatal(err)
	}
	c.give(ready, c.way.user, c.way.user, 0o600)
	cmd := c.command(context.Background(), c.daemon(), "serve")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+ready)
	var log bytes.Buffer
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() {
		children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", cmd.Process.Pid, cmd.Process.Pid))
		if first, err := strconv.Atoi(strings.TrimSpace(string(children))); err == nil {
			_ = syscall.Kill(first, syscall.SIGTERM)
		}
		if err := cmd.Wait(); err != nil {
			c.t.Errorf("the daemon ended with %v", err)
		}
		_ = notify.Close()
		if c.t.Failed() {
			c.t.Logf("the daemon's log:\n%s", log.String())
		}
	})
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	if _, err := notify.Wait(ctx, 0, "READY=1"); err != nil {
		c.t.Fatal(err)
	}
}

// spoolIsPHPs demands that user 33 has a folder in the spool, in which the daemon reads.
func (c *container) spoolIsPHPs() {
	c.t.Helper()
	var stat syscall.Stat_t
	if err := syscall.Stat(filepath.Join(c.root, "var/spool/ticketd/33"), &stat); err != nil {
		c.t.Error(err)
	} else if stat.Uid != 33 || int(stat.Gid) != c.daemon().groups[0] || stat.Mode&0o777 != 0o770 {
		c.t.Errorf("PHP's folder in the spool is of %d:%d, mode %o", stat.Uid, stat.Gid, stat.Mode)
	}
}
