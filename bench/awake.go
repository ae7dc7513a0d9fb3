package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// awake keeps the processors from sleeping while something is measured: a halted processor of a virtual machine takes 40 to
// 100 µs to wake, more than many of the measured times. On each processor a child process spins under SCHED_IDLE, which runs
// only while no other process wants the processor.
type awake struct {
	spinners []*exec.Cmd
	pipe     *os.File // no spinner outlives the pipe
}

// spinArg makes the program a spinner of [awake]; the number of a processor follows.
const spinArg = "--spin"

// keepAwake starts a spinner for each processor that this process may use, and waits until all spin.
func keepAwake(ctx context.Context) (a *awake, err error) {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return nil, fmt.Errorf("keeping the processors awake: %w", err)
	}
	program, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("keeping the processors awake: %w", err)
	}
	in, pipe, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, in.Close()) }()
	a = &awake{pipe: pipe}
	for cpu, left := 0, allowed.Count(); left > 0; cpu++ {
		if !allowed.IsSet(cpu) {
			continue
		}
		left--
		if err := a.start(ctx, program, cpu, in); err != nil {
			return nil, errors.Join(fmt.Errorf("keeping processor %d awake: %w", cpu, err), a.end())
		}
	}
	return a, nil
}

func (a *awake) start(ctx context.Context, program string, cpu int, in *os.File) error {
	cmd := exec.CommandContext(ctx, program, spinArg, strconv.Itoa(cpu))
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	a.spinners = append(a.spinners, cmd)
	var ready [1]byte
	if _, err := io.ReadFull(out, ready[:]); err != nil {
		return fmt.Errorf("the spinner has ended: %w", err)
	}
	return nil
}

// pids are the spinners' processes.
func (a *awake) pids() []int {
	pids := make([]int, len(a.spinners))
	for i, cmd := range a.spinners {
		pids[i] = cmd.Process.Pid
	}
	return pids
}

// end ends the spinners.
func (a *awake) end() error {
	err := a.pipe.Close()
	for _, cmd := range a.spinners {
		err = errors.Join(err, cmd.Wait())
	}
	return err
}

// spins says whether args ask the program to be a spinner.
func spins(args []string) bool { return len(args) == 2 && args[0] == spinArg }

// spin keeps a processor busy until the standard input ends, as it does when the parent process has ended.
func spin(args []string) error {
	cpu, err := strconv.Atoi(args[1])
	if err != nil {
		return fmt.Errorf("%s: %w", spinArg, err)
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var only unix.CPUSet
	only.Set(cpu)
	if err := unix.SchedSetaffinity(0, &only); err != nil {
		return fmt.Errorf("binding to processor %d: %w", cpu, err)
	}
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if err := unix.SchedSetAttr(0, &idle, 0); err != nil {
		return fmt.Errorf("SCHED_IDLE: %w", err)
	}
	if _, err := os.Stdout.Write([]byte{'\n'}); err != nil {
		return err
	}
	// A poll costs a system call: the spinner looks at its input now and then.
	const input, now, often = 0, 0, 1 << 22
	parent := []unix.PollFd{{Fd: input, Events: unix.POLLIN}}
	for {
		for range often {
		}
		if ready, err := unix.Poll(parent, now); ready > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return nil
		}
	}
}
