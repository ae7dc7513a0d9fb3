package testenv

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
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
)

// asOwner, when set, makes TestOwner start servers and wait for its end.
const asOwner = "TESTENV_AS_OWNER"

// TestOwner is not a test, but the program that starts servers, to be killed by the tests below.
func TestOwner(t *testing.T) {
	t.Parallel()
	if os.Getenv(asOwner) == "" {
		return
	}
	fpm := NewPHPFPM(t, PHPFPMOptions{Children: 2})
	dir := Folder(t)
	nginx, err := StartNginx(t.Context(), dir, NginxOptions{Root: dir, FastCGI: fpm.Socket()})
	if err != nil {
		t.Fatal(err)
	}
	redis, mariadb := NewRedis(t, RedisOptions{}), NewMariaDB(t, MariaDBOptions{})
	folder, err := processFolder()
	if err != nil {
		t.Fatal(err)
	}
	fmt.Println("owner:", folder, fpm.PID(), nginx.PID(), redis.PID(), mariadb.PID())
	_, _ = io.Copy(io.Discard, os.Stdin) // until killed
}

// startOwner starts TestOwner in a new process and returns it, its folder and all processes of its servers.
func startOwner(t *testing.T) (owner *exec.Cmd, folder string, servers []int) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	owner = exec.CommandContext(t.Context(), binary, "-test.run=^TestOwner$")
	owner.Env = append(os.Environ(), asOwner+"=1")
	if _, err := owner.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := owner.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 6 && words[0] == "owner:" {
			for _, word := range words[2:] {
				pid, err := strconv.Atoi(word)
				if err != nil {
					t.Fatal(err)
				}
				servers = append(servers, groupOf(t, pid)...)
			}
			return owner, words[1], servers
		}
	}
	t.Fatal("the owner ended before its servers ran")
	return nil, "", nil
}

// groupOf returns the processes of a process group.
func groupOf(t *testing.T, pgid int) (pids []int) {
	t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		pid, err := strconv.Atoi(filepath.Base(entry))
		if err != nil {
			t.Fatal(err)
		}
		if group, err := unix.Getpgid(pid); err == nil && group == pgid {
			pids = append(pids, pid)
		}
	}
	if !slices.Contains(pids, pgid) {
		t.Fatalf("the group %d has the processes %v, want its leader among them", pgid, pids)
	}
	return pids
}

// watch returns a function that waits until all the processes have ended; a process that does not end is an error, and is
// killed.
func watch(t *testing.T, pids []int) (awaitEnd func()) {
	t.Helper()
	handles := make([]int, len(pids))
	for i, pid := range pids {
		var err error
		if handles[i], err = unix.PidfdOpen(pid, 0); err != nil {
			t.Fatalf("opening process %d: %v", pid, err)
		}
		t.Cleanup(func() { _ = unix.Close(handles[i]) })
	}
	return func() {
		t.Helper()
		deadline := time.Now().Add(20 * time.Second)
		for i, handle := range handles {
			if !ended(handle, deadline) {
				t.Errorf("process %d is left behind", pids[i])
				_ = unix.PidfdSendSignal(handle, unix.SIGKILL, nil, 0)
			}
		}
	}
}

// ended waits for the end of a process until the deadline.
func ended(pidfd int, deadline time.Time) bool {
	for {
		poll := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(poll, int(max(0, time.Until(deadline)).Milliseconds()))
		if !errors.Is(err, unix.EINTR) {
			return err == nil && n == 1
		}
	}
}

func TestKilledOwnerLeavesNoProcess(t *testing.T) {
	t.Parallel()
	owner, folder, servers := startOwner(t)
	defer os.RemoveAll(folder) // the killed owner could not
	awaitEnd := watch(t, servers)
	if err := owner.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	awaitEnd()
}

func TestInterruptedOwnerLeavesNeitherProcessNorFolder(t *testing.T) {
	t.Parallel()
	owner, folder, servers := startOwner(t)
	awaitEnd := watch(t, servers)
	if err := owner.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = owner.Wait()
	awaitEnd()
	if _, err := os.Stat(folder); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder %s is left behind (%v)", folder, err)
	}
}

func TestKillEndsTheWholeGroup(t *testing.T) {
	t.Parallel()
	fpm := NewPHPFPM(t, PHPFPMOptions{Children: 2})
	pids := groupOf(t, fpm.PID())
	awaitEnd := watch(t, pids)
	fpm.Kill()
	awaitEnd()
	if err := fpm.Restart(t.Context()); err != nil {
		t.Fatalf("restart over the socket that was left behind: %v", err)
	}
}

func TestPausedServerAnswersAgainWhenResumed(t *testing.T) {
	t.Parallel()
	server := NewRedis(t, RedisOptions{})
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := server.ping(ctx); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a paused server: %v, want no answer until the deadline", err)
	}
	if err := server.Resume(); err != nil {
		t.Fatal(err)
	}
	if err := server.ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStopEndsAPausedServerAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	server := NewRedis(t, RedisOptions{})
	if err := server.Pause(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := server.Stop(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestFailedStartShowsTheServersReason(t *testing.T) {
	t.Parallel()
	_, err := StartRedis(t.Context(), Folder(t), RedisOptions{Config: []string{"no-such-directive 1"}})
	if !errors.Is(err, errEnded) || !strings.Contains(err.Error(), "no-such-directive") {
		t.Fatalf("error %v; want one that shows the refused line", err)
	}
}

func TestStartEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	server, err := StartRedis(ctx, Folder(t), RedisOptions{})
	if server != nil || !errors.Is(err, context.Canceled) {
		t.Fatalf("server %v, error %v; want the context's error alone", server, err)
	}
}

func TestMissingProgramNamesItsPackage(t *testing.T) {
	t.Parallel()
	_, err := program("some-package", "no-such-program")
	var missing *MissingError
	if !errors.As(err, &missing) || missing.Package != "some-package" || !strings.Contains(err.Error(), "make deps") {
		t.Fatalf("error %v; want a MissingError with the package and the way to install it", err)
	}
}

func TestSocketPathThatIsTooLongIsRefused(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(Folder(t), strings.Repeat("x", maxSocketPath))
	if _, err := StartRedis(t.Context(), dir, RedisOptions{}); err == nil || !strings.Contains(err.Error(), "TMPDIR") {
		t.Fatalf("error %v; want one that says what to do", err)
	}
}
