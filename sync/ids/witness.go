package ids

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// witness is what tells a file from every copy of it: where it is, when it was made, which no tool that restores a file can set,
// and
// in which run of the kernel. So a file counts on one host, until that is started anew: a disk that was put back to an earlier
// state, or cloned, has been started since. What it cannot tell: a snapshot of the file system alone that is rolled back
// meanwhile.
type witness struct {
	Boot   string `json:"boot"`
	Device uint64 `json:"device"`
	Inode  uint64 `json:"inode"`
	Born   int64  `json:"born"` // seconds since 1970
	BornNS uint32 `json:"born_ns"`
}

var errNoWitness = errors.New("the file system does not say when a file was made, or the kernel does not name its run")

func witnessOf(file *os.File, boot string) (witness, error) {
	var s unix.Statx_t
	if err := unix.Statx(int(file.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME|unix.STATX_INO, &s); err != nil {
		return witness{}, fmt.Errorf("statx: %w", err)
	}
	if s.Mask&unix.STATX_BTIME == 0 || s.Btime.Sec == 0 || boot == "" {
		return witness{}, errNoWitness
	}
	return witness{
		Boot: boot, Device: unix.Mkdev(s.Dev_major, s.Dev_minor), Inode: s.Ino, Born: s.Btime.Sec, BornNS: s.Btime.Nsec,
	}, nil
}

func sameFile(named fs.FileInfo, file *os.File) bool {
	info, err := file.Stat()
	return err == nil && os.SameFile(named, info)
}
