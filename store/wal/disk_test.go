package wal

import (
	"os"
	"strings"
	"sync"
	"syscall"
)

// disk opens real files that fail when they are told to.
type disk struct {
	mu     sync.Mutex
	room   int64          // bytes that may still be written; below 0: any number
	errs   map[string]int // what fails with EIO, and how many times
	gate   chan struct{}  // where it is not nil every Datasync takes one from it
	syncs  []string       // the files of every Datasync
	writes map[string]int // writes to each file
	sizes  map[string]int64
	safe   map[string]int64 // the size of each file at its last Datasync
}

func newDisk() *disk {
	return &disk{room: -1, errs: map[string]int{}, writes: map[string]int{}, sizes: map[string]int64{}, safe: map[string]int64{}}
}

func (d *disk) open(path string) (File, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	return &faulty{File: f, disk: d, path: strings.TrimSuffix(path, tmpSuffix)}, nil
}

func (d *disk) fails(operation string, times int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs[operation] = times
}

func (d *disk) setRoom(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = bytes
}

func (d *disk) countSyncs() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.syncs)
}

// failing says whether an operation is to fail this time.
func (d *disk) failing(operation string) bool {
	if d.errs[operation] == 0 {
		return false
	}
	d.errs[operation]--
	return true
}

type faulty struct {
	File
	disk *disk
	path string
}

// WriteAt writes what there is room for, as a real disk does.
func (f *faulty) WriteAt(p []byte, at int64) (int, error) {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.writes[f.path]++
	fits, err := len(p), error(nil)
	if f.disk.failing("write") {
		fits, err = len(p)/2, &os.PathError{Op: "write", Path: f.path, Err: syscall.EIO}
	} else if f.disk.room >= 0 && int64(len(p)) > f.disk.room {
		fits, err = int(f.disk.room), &os.PathError{Op: "write", Path: f.path, Err: syscall.ENOSPC}
	}
	n, failed := f.File.WriteAt(p[:fits], at)
	if f.disk.room >= 0 {
		f.disk.room -= int64(n)
	}
	f.disk.sizes[f.path] = max(f.disk.sizes[f.path], at+int64(n))
	if failed != nil {
		err = failed
	}
	return n, err
}

func (f *faulty) Truncate(size int64) error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.disk.failing("truncate") {
		return &os.PathError{Op: "truncate", Path: f.path, Err: syscall.EIO}
	}
	f.disk.sizes[f.path] = size
	return f.File.Truncate(size)
}

func (f *faulty) Datasync() error {
	if f.disk.gate != nil {
		<-f.disk.gate
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	f.disk.syncs = append(f.disk.syncs, f.path)
	if f.disk.failing("sync") {
		return &os.PathError{Op: "fdatasync", Path: f.path, Err: syscall.EIO}
	}
	f.disk.safe[f.path] = f.disk.sizes[f.path]
	return nil // nothing here outlives a loss of power, which tests make up
}
