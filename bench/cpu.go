package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// family is a process and its children, as they are now.
func family(pid int) ([]int, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil, fmt.Errorf("children of process %d: %w", pid, err)
	}
	pids := []int{pid}
	for child := range strings.FieldsSeq(string(text)) {
		n, err := strconv.Atoi(child)
		if err != nil {
			return nil, fmt.Errorf("children of process %d: %w", pid, err)
		}
		pids = append(pids, n)
	}
	return pids, nil
}

// cpu returns the processor time that these processes have used since their start, all their threads together. The
// clock counts in nanoseconds, unlike the ticks in /proc.
func cpu(pids ...int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		// The clock's number holds the process' id, as clock_getcpuclockid(3) makes it.
		const scheduled = 2
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil { //nolint:gosec // ids have at most 22 bits
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		total += time.Duration(t.Nano())
	}
	return total, nil
}
