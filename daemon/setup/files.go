package setup

import (
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ticketd/ticketd/internal/regular"
	"github.com/ticketd/ticketd/internal/wpconfig"
)

// eyes see the files of this machine as a user does, if root runs the command: a configuration is written by its site's owner,
// and may name files that only root may read.
type eyes struct{ user *syscall.Credential }

// Read returns a regular file of bounded size.
func (e eyes) Read(path string) (text []byte, err error) {
	err = e.look(func() error {
		text, err = regular.Read(path, wpconfig.MaxSize)
		return err
	})
	return text, err
}

// Exists returns whether the user sees a file or folder.
func (e eyes) Exists(path string) bool {
	_, err := e.stat(path)
	return err == nil
}

func (e eyes) stat(path string) (info fs.FileInfo, err error) {
	err = e.look(func() error { info, err = os.Stat(path); return err })
	return info, err
}

// may returns access(2)'s answer for the user.
func (e eyes) may(path string, mode uint32) error {
	return e.look(func() error {
		if err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); err != nil {
			return &fs.PathError{Op: "access", Path: path, Err: err}
		}
		return nil
	})
}

// look runs f with the user's rights on files. The thread that has them ends with the goroutine.
func (e eyes) look(f func() error) error {
	if e.user == nil {
		return f()
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: no other goroutine gets this thread
		if err := e.become(); err != nil {
			done <- err
			return
		}
		done <- f()
	}()
	return <-done
}

// become gives the present thread the user's rights on files; the kernel takes root's away with them.
func (e eyes) become() error {
	groups := append([]uint32{e.user.Gid}, e.user.Groups...)
	//nolint:gosec // the package unix sets the groups of all threads
	_, _, failed := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(len(groups)), uintptr(unsafe.Pointer(&groups[0])), 0)
	if failed != 0 {
		return fmt.Errorf("taking on PHP's user: %w", failed)
	}
	if _, err := unix.SetfsgidRetGid(int(e.user.Gid)); err != nil {
		return fmt.Errorf("taking on PHP's user: %w", err)
	}
	if _, err := unix.SetfsuidRetUid(int(e.user.Uid)); err != nil {
		return fmt.Errorf("taking on PHP's user: %w", err)
	}
	return nil
}

// control reports whether a text has control characters, such as the end of a line.
func control(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
