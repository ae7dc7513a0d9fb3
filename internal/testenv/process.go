package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stopTimeout is how long a server may take to end after SIGTERM; then the whole group is killed.
const stopTimeout = 15 * time.Second

// command says how a server is started: the same at each restart.
type command struct {
	name string // for messages, e.g. "redis"
	path string
	args []string
	env  []string // added to this process's environment
	dir  string   // working directory, with the log file
	// socket is removed before each start: a killed server leaves the socket file behind, and some servers then refuse to start.
	socket string
	// orphan is the signal that the kernel sends when this process dies: SIGKILL, or SIGTERM to a server that ends its own
	// children.
	orphan syscall.Signal
	// prepare, if set, is called before each start; release is called after the process has ended.
	prepare func() (release func(), err error)
	// ready asks the server once, in the server's own protocol, whether it serves.
	ready func(ctx context.Context) error
}

// process is a server's process over all restarts.
type process struct {
	command

	mu   sync.Mutex // guards the fields below and every signal, so that no signal reaches a reused process id
	cmd  *exec.Cmd  // nil before the start
	over bool       // the process has ended, the id may belong to any process
	done chan struct{}
}

// processes are the running processes, for [killAll].
var processes sync.Map

// errEnded says that the process is not running.
var errEnded = errors.New("the process has ended")

// start starts the process and waits until the server is ready.
func (p *process) start(ctx context.Context) error {
	if err := p.launch(); err != nil {
		return fmt.Errorf("starting %s: %w", p.name, err)
	}
	if err := p.awaitReady(ctx); err != nil {
		p.Kill()
		return fmt.Errorf("starting %s: %w; its log ends with:\n%s", p.name, err, p.logTail())
	}
	return nil
}

// launch starts the process under a goroutine that keeps its operating system thread until the process has ended: the kernel
// sends the parent death signal when the forking thread ends, not when the program ends.
func (p *process) launch() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd != nil {
		if !p.over {
			return errors.New("the process runs already")
		}
		<-p.done // resources of the last run are released
	}
	if err := os.Remove(p.socket); p.socket != "" && err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing its old socket: %w", err)
	}
	log, err := os.OpenFile(p.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening its log: %w", err)
	}
	defer func() { _ = log.Close() }()
	release := func() {}
	if p.prepare != nil {
		if release, err = p.prepare(); err != nil {
			return err
		}
	}
	cmd := p.build(log)
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(done)
		defer release()
		if err := cmd.Start(); err != nil {
			started <- err
			return
		}
		started <- nil
		p.reap(cmd)
	}()
	if err := <-started; err != nil {
		return err
	}
	p.cmd, p.over, p.done = cmd, false, done
	processes.Store(p, nil)
	return nil
}

// build makes a command for a single start.
func (p *process) build(log *os.File) *exec.Cmd {
	//nolint:noctx // the process outlives the context of its start
	cmd := exec.Command(p.path, p.args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = p.dir, log, log
	cmd.Env = append(os.Environ(), p.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: p.orphan}
	return cmd
}

// reap waits for the end of the process and kills the rest of its group. Until Wait has returned, the dead leader still holds
// the process id, so no other group can have the id.
func (p *process) reap(cmd *exec.Cmd) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait() // the log says how the process ended; interested callers ask for readiness
	p.over = true
	processes.Delete(p)
}

// awaitReady asks until the server is ready, the process ends, or ctx does.
func (p *process) awaitReady(ctx context.Context) error {
	const firstPause, lastPause = 2 * time.Millisecond, 50 * time.Millisecond
	pause := time.NewTimer(0)
	defer pause.Stop()
	var last error
	for wait := firstPause; ; wait = min(wait*2, lastPause) {
		select {
		case <-pause.C:
		case <-p.done:
			return errEnded
		case <-ctx.Done():
			return fmt.Errorf("not ready: %w (last answer: %w)", context.Cause(ctx), last)
		}
		if last = p.ready(ctx); last == nil {
			return nil
		}
		pause.Reset(wait)
	}
}

// signal sends sig to the process, or to the whole group.
func (p *process) signal(sig syscall.Signal, group bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.over {
		return fmt.Errorf("sending %s to %s: %w", unix.SignalName(sig), p.name, errEnded)
	}
	pid := p.cmd.Process.Pid
	if group {
		pid = -pid
	}
	if err := syscall.Kill(pid, sig); err != nil {
		return fmt.Errorf("sending %s to %s: %w", unix.SignalName(sig), p.name, err)
	}
	return nil
}

// Stop asks the server to end (SIGTERM) and waits; a server that has not ended after 15 s is killed, which is an error.
func (p *process) Stop() error {
	if p.signal(syscall.SIGTERM, false) != nil {
		return nil // the process has ended already
	}
	_ = p.signal(syscall.SIGCONT, true) // a paused process would not see the request
	timer := time.NewTimer(stopTimeout)
	defer timer.Stop()
	select {
	case <-p.done:
		return nil
	case <-timer.C:
		p.Kill()
		return fmt.Errorf("stopping %s: it had not ended after %s and was killed; see %s", p.name, stopTimeout, p.logPath())
	}
}

// Kill ends the server at once (SIGKILL to the process group) and waits for the end.
func (p *process) Kill() {
	if p.signal(syscall.SIGKILL, true) == nil {
		<-p.done
	}
}

// Pause freezes the server (SIGSTOP): a frozen server does not answer and keeps its connections. Pause returns when the last
// thread has stopped: until then, the server may answer.
func (p *process) Pause() error {
	pid := p.PID()
	if err := p.signal(syscall.SIGSTOP, true); err != nil {
		return err
	}
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WSTOPPED|unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// Resume lets a paused server go on.
func (p *process) Resume() error { return p.signal(syscall.SIGCONT, true) }

// Restart stops the server if it runs, and starts the server again on the same data and the same address.
func (p *process) Restart(ctx context.Context) error {
	if err := p.Stop(); err != nil {
		return err
	}
	return p.start(ctx)
}

// Done is closed when the running process has ended in any way.
func (p *process) Done() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.done
}

// PID is the process id of the running server, 0 if the server does not run.
func (p *process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil || p.over {
		return 0
	}
	return p.cmd.Process.Pid
}

// Dir is the server's private folder.
func (p *process) Dir() string { return p.dir }

// Log returns the server's standard output and error so far, over all restarts.
func (p *process) Log() string {
	content, err := os.ReadFile(p.logPath())
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return string(content)
}

func (p *process) logPath() string { return filepath.Join(p.dir, p.name+".log") }

// logTail returns the last lines of the log, enough to see why a start failed.
func (p *process) logTail() string {
	const lines = 20
	all := strings.Split(strings.TrimSpace(p.Log()), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// killAll ends every server that this program started.
func killAll() {
	processes.Range(func(key, _ any) bool {
		if p, ok := key.(*process); ok {
			p.Kill()
		}
		return true
	})
}
