package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// echoServer is the C program that answers every frame at once: no daemon can be faster.
type echoServer struct {
	cmd    *exec.Cmd
	socket string
}

// startEchoes compiles it and starts two: one that answers at once, and one that writes to Redis before.
func (e *env) startEchoes(ctx context.Context) (alone, relay *echoServer, err error) {
	binary := filepath.Join(e.dir, "echo")
	source := filepath.Join("bench", "echo", "echo.c")
	if out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", binary, source).CombinedOutput(); err != nil {
		return nil, nil, fmt.Errorf("compiling the echo server: %w\n%s", err, out)
	}
	if alone, err = startEcho(ctx, binary, filepath.Join(e.dir, "echo.sock")); err != nil {
		return nil, nil, err
	}
	relay, err = startEcho(ctx, binary, filepath.Join(e.dir, "relay.sock"), e.redis.Socket(), e.password)
	if err != nil {
		alone.stop()
	}
	return alone, relay, err
}

// startEcho starts one on a socket; redis are further arguments.
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

// stop ends it; it keeps nothing.
func (s *echoServer) stop() {
	_ = s.cmd.Process.Kill() // it has ended already, then
	_ = s.cmd.Wait()
}
