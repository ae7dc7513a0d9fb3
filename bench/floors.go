package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	goredis "github.com/redis/go-redis/v9"
)

// floors are C programs that answer the frames of a PHP client, on sockets of their own: no daemon can be faster.
type floors struct {
	alone  *echoServer // answers at once
	hset   *echoServer // sends an HSET to Redis first
	script *echoServer // makes ticketd's own script call first
}

// floorPrefix is the key prefix of the floor that calls ticketd's script.
const floorPrefix = "floor:"

// startFloors compiles the program and starts it for each floor.
func (e *env) startFloors(ctx context.Context) (f *floors, err error) {
	binary := filepath.Join(e.dir, "echo")
	source := filepath.Join("bench", "echo", "echo.c")
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", binary, source).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compiling the echo server: %w\n%s", err, out)
	}
	hset, err := e.commandFile("hset", []string{
		"HSET", "floor", "status", "pending", "priority", "high", "assigned_to", "7", "category", "printers",
	})
	if err != nil {
		return nil, err
	}
	call, err := e.scriptCall(ctx, floorPrefix, true)
	if err != nil {
		return nil, err
	}
	script, err := e.commandFile("script", call)
	if err != nil {
		return nil, err
	}
	f = &floors{}
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	if f.alone, err = startEcho(ctx, binary, filepath.Join(e.dir, "echo.sock")); err != nil {
		return nil, err
	}
	if f.hset, err = startEcho(ctx, binary, filepath.Join(e.dir, "hset.sock"), e.redis.Socket(), e.password, hset); err != nil {
		return nil, err
	}
	f.script, err = startEcho(ctx, binary, filepath.Join(e.dir, "script.sock"), e.redis.Socket(), e.password, script)
	return f, err
}

// byWay are the floors by the names in php/.
func (f *floors) byWay() map[string]*echoServer {
	if f == nil {
		return nil
	}
	return map[string]*echoServer{wayFloor: f.alone, wayHSET: f.hset, wayScript: f.script}
}

// forget makes the floor's tickets clean again by forgetting the tickets, as ticketd's tickets are clean after a flush.
func (e *env) forget(ctx context.Context) error {
	client := goredis.NewClient(e.redis.Options())
	defer func() { _ = client.Close() }()
	const tickets = 1000 // as many as echo.c uses
	keys := []string{floorPrefix + "ticket:dirty"}
	for id := range tickets {
		keys = append(keys, fmt.Sprintf("%sticket:%012d", floorPrefix, id))
	}
	return client.Unlink(ctx, keys...).Err()
}

func (f *floors) stop() {
	for _, s := range f.byWay() {
		s.stop()
	}
}

// echoServer is a process of the C program.
type echoServer struct {
	cmd    *exec.Cmd
	socket string
}

// startEcho starts an echo server on a socket; redis are further arguments.
func startEcho(ctx context.Context, binary, socket string, redis ...string) (*echoServer, error) {
	_ = os.Remove(socket) // an earlier one's
	s := &echoServer{socket: socket}
	s.cmd = exec.CommandContext(ctx, binary, append([]string{socket}, redis...)...)
	s.cmd.Stderr = os.Stderr
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the echo server: %w", err)
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		s.stop()
		return nil, fmt.Errorf("starting the echo server: %w", err)
	}
	return s, nil
}

// stop kills the echo server, which has no data to keep.
func (s *echoServer) stop() {
	if s == nil {
		return
	}
	_ = s.cmd.Process.Kill() // fails if the server has ended already
	_ = s.cmd.Wait()
}
