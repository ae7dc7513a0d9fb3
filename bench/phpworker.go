package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ticketd/ticketd/bench/round"
)

// phpWorker is a PHP process that runs the ways of php/.
type phpWorker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
	daemons map[string]*daemon // by way
	pids    []int              // of all processes that work for a write
}

// phpPlaces are the addresses that the ways use.
type phpPlaces struct {
	redis   string             // a Unix socket's path, or a host
	port    int                // 0 for a Unix socket
	daemons map[string]*daemon // by the way that goes through them
	// echo and relay are the floors; nil where a row does not use them.
	echo, relay *echoServer
}

// unixPlaces are those of the servers' Unix sockets.
func (e *env) unixPlaces() phpPlaces {
	return phpPlaces{redis: e.redis.Socket(), daemons: map[string]*daemon{
		wayTicketd: e.main, wayJournal: e.journal, wayAlone: e.alone,
	}}
}

// startPHP starts a worker.
func (e *env) startPHP(ctx context.Context, at phpPlaces) (*phpWorker, error) {
	plugin, err := filepath.Abs(filepath.Join("php-client", "ticketd"))
	if err != nil {
		return nil, err
	}
	w := &phpWorker{daemons: at.daemons, pids: []int{e.redis.PID(), e.mariadb.PID()}}
	places := map[string]any{
		"plugin": plugin, "redis": at.redis, "redis_port": at.port, "redis_password": e.password,
		"mysql": e.mariadb.Socket(), "database": database,
	}
	for way, d := range at.daemons {
		places[way] = map[string]string{"socket": d.socket, "spool": d.spool}
		w.pids = append(w.pids, d.PID())
	}
	for name, s := range map[string]*echoServer{"echo": at.echo, "relay": at.relay} {
		if s != nil {
			places[name] = map[string]string{"socket": s.socket, "spool": e.main.spool}
			w.pids = append(w.pids, s.cmd.Process.Pid)
		}
	}
	text, err := json.Marshal(places)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(e.dir, "places.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return nil, err
	}
	return w, w.start(ctx, file)
}

func (w *phpWorker) start(ctx context.Context, places string) (err error) {
	// PHP-FPM compiles no file twice: so this does not either.
	w.cmd = exec.CommandContext(ctx, "php", "-d", "opcache.enable_cli=1", filepath.Join("bench", "php", "worker.php"), places)
	w.cmd.Stderr = os.Stderr
	w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	w.out = bufio.NewReader(out)
	if err := w.cmd.Start(); err != nil {
		return fmt.Errorf("starting PHP: %w", err)
	}
	w.pids = append(w.pids, w.cmd.Process.Pid)
	return nil
}

// stop ends the worker by closing its input.
func (w *phpWorker) stop() error { return errors.Join(w.in.Close(), w.cmd.Wait()) }

// run has a task done so many times by one of the ways and returns how long that took, in PHP.
func (w *phpWorker) run(task, way string, times int) (time.Duration, error) {
	if _, err := fmt.Fprintln(w.in, task, way, times); err != nil {
		return 0, fmt.Errorf("asking the PHP worker: %w", err)
	}
	answer, err := w.out.ReadString('\n')
	if err != nil {
		return 0, fmt.Errorf("the PHP worker's answer: %w", err)
	}
	answer = strings.TrimSpace(answer)
	took, err := strconv.ParseInt(answer, 10, 64)
	if err != nil {
		return 0, errors.New(answer)
	}
	return time.Duration(took), nil
}

// side is a way as the rounds run it: the task so many times, then the daemon's flush, which belongs to what a write
// costs in processor time and must not fall into the next side's turn.
func (w *phpWorker) side(name, task, way string, times int) round.Side {
	return round.Side{Name: name, Run: func(ctx context.Context) (round.Sample, error) {
		before, err := cpu(w.pids...)
		if err != nil {
			return round.Sample{}, err
		}
		took, err := w.run(task, way, times)
		if err != nil {
			return round.Sample{}, err
		}
		if d := w.daemons[way]; d != nil {
			if err := d.flush(ctx); err != nil {
				return round.Sample{}, err
			}
		}
		after, err := cpu(w.pids...)
		return round.Sample{Value: perTime(took, times), CPU: perTime(after-before, times)}, err
	}}
}

// What php/worker.php calls the ways through the daemons.
const (
	wayTicketd = "ticketd"
	wayJournal = "journal"
	wayAlone   = "alone"
)

// perTime is in microseconds.
func perTime(d time.Duration, times int) float64 {
	return float64(d.Nanoseconds()) / 1000 / float64(times)
}
