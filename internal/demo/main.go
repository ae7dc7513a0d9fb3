// Command demo shows ticketd at work on a private WordPress: it starts Redis, MariaDB, PHP-FPM, nginx, WordPress and the
// daemon in one folder, has visitors create and update tickets over HTTP, and checks the rows in MySQL.
//
//	demo run     the whole show, with numbers at the end
//	demo up      start the site and leave it running
//	demo down    end the site that up started
//
// With --without-redis, run and up start no Redis: changes are then pending in the daemon's journal.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := Run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// withoutRedisFlag is the flag's name, for the process that holds the site as well.
const withoutRedisFlag = "without-redis"

// Run runs a command of the demo.
func Run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	withoutRedis := flags.Bool(withoutRedisFlag, false, "start no Redis: changes wait in the daemon's journal")
	if len(args) == 0 {
		return errors.New("say run, up or down")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	switch args[0] {
	case "run":
		return show(ctx, !*withoutRedis)
	case "up":
		return up(ctx, !*withoutRedis)
	case "hold":
		return hold(ctx, !*withoutRedis)
	case "down":
		return down(ctx)
	default:
		return fmt.Errorf("%q: say run, up or down", args[0])
	}
}

// state is written by `up` for `down`.
type state struct {
	PID int `json:"pid"`
	// Started is the process' start time as the kernel counts: a pid alone may belong to another process meanwhile.
	Started  string `json:"started"`
	URL      string `json:"url"`
	User     string `json:"user"`
	Password string `json:"password"`
}

func statePath() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("a place to remember the running demo: %w", err)
	}
	return filepath.Join(dir, "ticketd-demo.json"), nil
}

// up starts a separate process that holds the site, and waits until the site is ready.
func up(ctx context.Context, redis bool) error {
	if s, err := running(); err == nil {
		s.tell()
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	path, err := statePath()
	if err != nil {
		return err
	}
	holder := exec.CommandContext(context.WithoutCancel(ctx), self, "hold", fmt.Sprintf("--%s=%t", withoutRedisFlag, !redis))
	if err := detach(ctx, holder, strings.TrimSuffix(path, ".json")+".log"); err != nil {
		return err
	}
	s, err := running()
	if err == nil {
		s.tell()
	}
	return err
}

// detach starts a process that outlives this one, and waits until the process is ready. The process keeps none of this process's
// output open, so that a pipe from it ends; what it writes to its standard error goes to logPath, and is shown if it fails.
func detach(ctx context.Context, holder *exec.Cmd, logPath string) error {
	if err := os.MkdirAll(filepath.Dir(logPath), 0o700); err != nil { //nolint:gosec // the user's own cache folder
		return err
	}
	log, err := os.Create(logPath) //nolint:gosec // see above
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	holder.Stderr = log
	holder.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the holder outlives this terminal
	output, err := holder.StdoutPipe()
	if err != nil {
		return err
	}
	if err := holder.Start(); err != nil {
		return err
	}
	stopped := context.AfterFunc(ctx, func() { _ = holder.Process.Signal(syscall.SIGTERM) })
	defer stopped()
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if lines.Text() == readyLine {
			return nil
		}
		fmt.Println(lines.Text())
	}
	failed := holder.Wait()
	said, err := os.ReadFile(logPath) //nolint:gosec // see above
	_, _ = os.Stderr.Write(said)
	return errors.Join(errors.New("the demo did not start"), failed, err)
}

const readyLine = "ready"

// hold runs the site until a signal ends the process.
func hold(ctx context.Context, redis bool) (err error) {
	s, err := startSite(ctx, redis)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.end()) }()
	path, err := statePath()
	if err != nil {
		return err
	}
	pid := os.Getpid()
	text, err := json.Marshal(state{ //nolint:gosec // only the owner may read the file, and the password is a throw-away
		PID: pid, Started: startTime(pid), URL: s.WordPress.URL(), User: s.WordPress.User, Password: s.WordPress.Password,
	})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(path)) }()
	fmt.Println(readyLine)
	<-ctx.Done()
	return nil
}

// downTimeout bounds the orderly end of the demo.
const downTimeout = 40 * time.Second

// down ends the process that `up` started and waits for the end.
func down(ctx context.Context) error {
	s, err := running()
	if errors.Is(err, fs.ErrNotExist) {
		fmt.Println("No demo is running.")
		return nil
	}
	if err != nil {
		return err
	}
	if err := syscall.Kill(s.PID, syscall.SIGTERM); err != nil {
		return fmt.Errorf("ending the demo: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, downTimeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for startTime(s.PID) == s.Started {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the demo (process %d) does not end", s.PID)
		case <-ticker.C:
		}
	}
	fmt.Println("The demo has ended.")
	return nil
}

// running returns the running demo, or fs.ErrNotExist.
func running() (*state, error) {
	path, err := statePath()
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := new(state)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w; remove it", path, err)
	}
	if s.Started == "" || startTime(s.PID) != s.Started {
		return nil, errors.Join(fs.ErrNotExist, os.Remove(path))
	}
	return s, nil
}

func (s *state) tell() {
	fmt.Printf("\nWordPress: %s\nLog-in:    %s/wp-login.php as %s with the password %s\n\nEnd it with make demo-down.\n",
		s.URL, s.URL, s.User, s.Password)
}

// startTime returns when a process started, in the kernel's ticks since boot; empty without such a process.
func startTime(pid int) string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	// The command's name, in parentheses, may hold spaces; the start time is the 20th field after the name.
	const afterName = 19
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	if len(fields) <= afterName || fields[0] == "Z" {
		return ""
	}
	return fields[afterName]
}
