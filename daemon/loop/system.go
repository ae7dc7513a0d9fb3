package loop

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// system is the kernel as a loop sees the kernel. Reads, writes and accepts fail with EAGAIN instead of waiting.
type system interface { //nolint:interfacebloat // the kernel, and the fake kernel of the tests
	// wait returns the number of events, after at most timeout ms; -1 is no bound.
	wait(events []unix.EpollEvent, timeout int) (int, error)
	accept() (fd int, err error)
	// watch reports the events of a connection, under the token, until forget or close.
	watch(fd int, t token) error
	forget(fd int)
	// door starts or stops the events of clients that connect.
	door(open bool) error
	read(fd int, into []byte) (int, error)
	write(fd int, b []byte) (int, error)
	close(fd int)
	// wake makes wait return with [tokenWoken]. Any goroutine may call wake.
	wake()
	woken()
	// end closes the descriptors of the poller and the door.
	end()
}

// kernel is Linux.
type kernel struct {
	poller, listener, waker int
}

// newKernel makes a poller for a listening socket. The kernel owns the descriptor, even if newKernel fails.
func newKernel(listener int) (*kernel, error) {
	k := &kernel{poller: -1, listener: listener, waker: -1}
	var err error
	if err = unix.SetNonblock(listener, true); err == nil {
		k.poller, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	}
	if err == nil {
		k.waker, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	}
	if err == nil {
		err = k.add(k.waker, unix.EPOLLIN, tokenWoken)
	}
	if err == nil {
		err = k.door(true)
	}
	if err != nil {
		k.end()
		return nil, fmt.Errorf("make the event loop's poller: %w", err)
	}
	return k, nil
}

func (k *kernel) add(fd int, events uint32, t token) error {
	e := unix.EpollEvent{Events: events}
	t.put(&e)
	return unix.EpollCtl(k.poller, unix.EPOLL_CTL_ADD, fd, &e)
}

func (k *kernel) door(open bool) error {
	if open {
		return k.add(k.listener, unix.EPOLLIN, tokenDoor)
	}
	return unix.EpollCtl(k.poller, unix.EPOLL_CTL_DEL, k.listener, nil)
}

func (k *kernel) watch(fd int, t token) error {
	return k.add(fd, unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLET, t)
}

func (k *kernel) forget(fd int) {
	_ = unix.EpollCtl(k.poller, unix.EPOLL_CTL_DEL, fd, nil) // fails if the descriptor was not watched yet
}

func (k *kernel) wait(events []unix.EpollEvent, timeout int) (int, error) {
	n, err := unix.EpollWait(k.poller, events, timeout)
	if errors.Is(err, unix.EINTR) {
		return 0, nil
	}
	return n, err
}

func (k *kernel) accept() (int, error) {
	fd, _, errno := unix.RawSyscall6(unix.SYS_ACCEPT4, uintptr(k.listener), 0, 0, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(fd), nil
}

func (k *kernel) read(fd int, into []byte) (int, error) {
	return again(func() (int, error) { return unix.Read(fd, into) })
}
func (k *kernel) write(fd int, b []byte) (int, error) {
	return again(func() (int, error) { return unix.Write(fd, b) })
}
func (k *kernel) close(fd int) { _ = unix.Close(fd) }

// again repeats a call that a signal has interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		if n, err := call(); !errors.Is(err, unix.EINTR) {
			return n, err
		}
	}
}

func (k *kernel) wake() {
	_, _ = unix.Write(k.waker, binary.NativeEndian.AppendUint64(nil, 1)) // a full counter wakes as well
}

func (k *kernel) woken() {
	var count [8]byte
	_, _ = unix.Read(k.waker, count[:])
}

func (k *kernel) end() {
	for _, fd := range []int{k.poller, k.listener, k.waker} {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
}

// token names the source of an event: a slot and the slot's generation, or a descriptor of the loop.
type token uint64

const (
	tokenDoor token = 1<<64 - 1 - iota
	tokenWoken
)

func (t token) slot() int          { return int(uint32(t)) } //nolint:gosec // tokenOf put the slot in
func (t token) generation() uint32 { return uint32(t >> 32) }

func (t token) put(e *unix.EpollEvent) {
	e.Fd, e.Pad = int32(uint32(t)), int32(uint32(t>>32)) //nolint:gosec // the kernel's 64 bits, in the package's two fields
}
