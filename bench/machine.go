package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// machineLines describes the measuring machine, with the load before the measurements and without names of hosts or paths.
func machineLines(ctx context.Context, before string) (lines []string, err error) {
	var kernel unix.Utsname
	if err := unix.Uname(&kernel); err != nil {
		return nil, fmt.Errorf("asking for the kernel: %w", err)
	}
	release, _, _ := strings.Cut(unix.ByteSliceToString(kernel.Release[:]), "-")
	lines = append(lines,
		"measured on "+time.Now().UTC().Format(time.DateOnly),
		fmt.Sprintf("%d cores (%s), %s of memory", runtime.NumCPU(), processor(), memory()),
		"Linux "+release,
		before,
		runtime.Version(),
	)
	for _, tool := range [][]string{
		{"redis-server", "--version"}, {"mariadbd", "--version"}, {"php", "--version"}, {"php", "--ri", "redis"},
		{"nginx", "-v"},
	} {
		text, err := version(ctx, tool)
		if err != nil {
			return nil, err
		}
		lines = append(lines, text)
	}
	return lines, nil
}

// load returns the machine's load average before the benchmark, whose spinners count as load: with less than a processor for each
// process of the benchmark, waiting for another process is slower than on an idle machine.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	fields := strings.Fields(string(text))
	if err != nil || len(fields) < 3 {
		return "load average unknown"
	}
	return "load average " + fields[2] + " over the quarter of an hour before"
}

var number = regexp.MustCompile(`\d+\.\d+\.\d+`)

// version is a program's name and number.
func version(ctx context.Context, tool []string) (string, error) {
	cmd := exec.CommandContext(ctx, tool[0], tool[1:]...)
	cmd.Env = append(os.Environ(), "PATH="+os.Getenv("PATH")+":/usr/sbin")
	path, err := exec.LookPath(tool[0])
	if err != nil {
		path = "/usr/sbin/" + tool[0]
	}
	cmd.Path, cmd.Err = path, nil
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("asking for the version of %s: %w", tool[0], err)
	}
	name := tool[0]
	if len(tool) > 2 {
		name = tool[0] + "-" + tool[2]
	}
	return name + " " + number.FindString(string(out)), nil
}

// processor is the model's name, as far as the machine tells.
func processor() string { return after("/proc/cpuinfo", "model name") }

func memory() string {
	var kilobytes float64
	if _, err := fmt.Sscan(after("/proc/meminfo", "MemTotal"), &kilobytes); err != nil {
		return "unknown"
	}
	return fmt.Sprintf("%.0f GB", kilobytes/1024/1024)
}

// after finds the line of a file that begins with the name and returns the text after the colon.
func after(path, name string) string {
	file, err := os.Open(path)
	if err != nil {
		return "unknown"
	}
	defer func() { _ = file.Close() }()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if key, value, found := strings.Cut(lines.Text(), ":"); found && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return "unknown"
}

// cpu returns the processor time of these processes since their start, with all threads. The clock counts in nanoseconds,
// unlike the ticks in /proc.
func cpu(pids ...int) (time.Duration, error) {
	var total time.Duration
	for _, pid := range pids {
		// The clock's number holds the process id, as in clock_getcpuclockid(3).
		const scheduled = 2
		var t unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|scheduled), &t); err != nil { //nolint:gosec // ids have at most 22 bits
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		total += time.Duration(t.Nano())
	}
	return total, nil
}
