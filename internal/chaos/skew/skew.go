// Package skew is the wall clock of a daemon whose clock is wrong. No program of the project imports the package: the fault
// suite builds a ticketd that calls skew in place of [time.Now].
//
// The clock is ahead of the system's by the number in the file $TICKETD_TEST_CLOCK: eight bytes, a little-endian number of
// seconds, read at each call. As after a change of the system's clock, the monotonic clock and so every time-out go on.
package skew

import (
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Env names the file.
const Env = "TICKETD_TEST_CLOCK"

// ahead is the mapped file; zero without a file.
var ahead = open(os.Getenv(Env))

// Now is [time.Now] with the wall clock ahead.
func Now() time.Time { return shifted(time.Now(), ahead.Load()) }

// shifted moves a time's wall clock and keeps its monotonic clock, which no function of package time does. A time with both
// clocks begins with a word of a flag bit, 33 bits of seconds and 30 bits of nanoseconds.
func shifted(t time.Time, seconds int64) time.Time {
	const nanosecondBits = 30
	//nolint:gosec // see above; the test proves the layout for the Go version in use
	wall := (*uint64)(unsafe.Pointer(&t))
	*wall += uint64(seconds) << nanosecondBits //nolint:gosec // a negative number is subtracted by the overflow
	return t
}

func open(path string) *atomic.Int64 {
	if path == "" {
		return new(atomic.Int64)
	}
	file, err := os.Open(path) //nolint:gosec // the path comes from the test that starts the daemon
	if err != nil {
		panic(fmt.Sprintf("%s: %v", Env, err))
	}
	defer func() { _ = file.Close() }()
	mapped, err := unix.Mmap(int(file.Fd()), 0, int(unsafe.Sizeof(atomic.Int64{})), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		panic(fmt.Sprintf("%s: %v", Env, err))
	}
	return (*atomic.Int64)(unsafe.Pointer(&mapped[0])) //nolint:gosec // a page is aligned
}
