package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// asides counts the folders that were put aside.
var asides atomic.Int64

// aside is a name for a folder that is put aside, on the spool's disk.
func (h *host) aside() string {
	return filepath.Join(filepath.Dir(h.spool), fmt.Sprintf("aside-%d", asides.Add(1)))
}

// own is the spool folder of this process' user, in which all clients of the host leave changes.
func (h *host) own() string { return filepath.Join(h.spool, strconv.Itoa(os.Geteuid())) }

// spoolFolder has the faults of a spool folder under a running daemon. No file is removed. A killed daemon forgets a folder
// that was put aside, so no fault of the daemon happens at the same time.
func (h *host) spoolFolder(act string) fault {
	const stranger = 64199
	f := fault{target: fmt.Sprintf("spool %d", h.number), part: fmt.Sprintf("daemon %d", h.number), ready: h.usesOwn}
	switch act {
	case "owner": // as after a restore
		f.apply = func(context.Context) error { return os.Chown(h.own(), stranger, -1) }
		f.heal = func(context.Context) error { return os.Chown(h.own(), os.Geteuid(), -1) }
	case "replaced": // pending changes in the former folder are ingested from there
		aside := h.aside()
		f.apply = func(context.Context) error { return errors.Join(os.Rename(h.own(), aside), h.makeOwn()) }
		f.heal = func(context.Context) error { return isEmptied(aside) }
	default: // all users' folders, and back
		aside := h.aside()
		f.apply = func(context.Context) error { return os.Rename(h.spool, aside) }
		f.heal = func(context.Context) error {
			if _, err := os.Lstat(aside); errors.Is(err, os.ErrNotExist) {
				return h.remembersSpool() // a daemon that is killed before would look for the new folder
			}
			// the daemon has made a new folder
			err := keepBad(h.own(), filepath.Join(aside, filepath.Base(h.own())))
			return errors.Join(err, os.RemoveAll(h.spool), os.Rename(aside, h.spool), h.remembersSpool())
		}
	}
	return f
}

// remembersSpool says whether the daemon has recorded that the folder at the spool's path is its spool.
func (h *host) remembersSpool() error {
	mark, err1 := os.ReadFile(filepath.Join(h.spool, ".id"))
	record, err2 := os.ReadFile(filepath.Join(filepath.Dir(h.socket), "spool-folder"))
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	if was, _, _ := bytes.Cut(record, []byte(" ")); !bytes.Equal(was, bytes.TrimSpace(mark)) {
		return errors.New("the daemon has not recorded which folder is its spool")
	}
	return nil
}

// keepBad moves the files in the bad/ of a user's folder to another folder.
func keepBad(from, to string) error {
	files, err := filepath.Glob(filepath.Join(from, "bad", "*"))
	for _, file := range files {
		kept := filepath.Join(to, "bad", filepath.Base(file))
		err = errors.Join(err, os.MkdirAll(filepath.Dir(kept), 0o700), os.Rename(file, kept))
	}
	return err
}

// usesOwn reports whether the daemon has the folder open, and so locks it. A folder that the daemon cannot open is lost if
// moved away meanwhile, as another fault has given it to another user.
func (h *host) usesOwn(ctx context.Context) error {
	if err := h.isRunning(ctx); err != nil {
		return err
	}
	dir, err := os.Open(h.own())
	if err != nil {
		return err
	}
	defer dir.Close()
	if unix.Flock(int(dir.Fd()), unix.LOCK_SH|unix.LOCK_NB) == nil {
		return errors.New("the daemon has not opened the spool's folder")
	}
	return nil
}

// makeOwn makes a folder as 'ticketd spool prepare' does.
func (h *host) makeOwn() error {
	return errors.Join(os.Mkdir(h.own(), 0o770), os.Chmod(h.own(), os.ModeSetgid|0o770))
}

// isEmptied says that no changes wait in a folder any more.
func isEmptied(folder string) error {
	left, err := filepath.Glob(filepath.Join(folder, "[^.]*.frame")) // a draft's writer was told that the change is not kept
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("%d changes wait in %s", len(left), folder)
	}
	return err
}

// journalGone removes the journal's folder. The fault is healed when the daemon has written the journal again: until then a
// kill would lose the changes acknowledged in the last half second.
func (h *host) journalGone() fault {
	var folders []string
	return fault{
		target: fmt.Sprintf("journal %d", h.number), part: fmt.Sprintf("daemon %d", h.number), ready: h.isRunning,
		apply: func(context.Context) error {
			var err error
			folders, err = filepath.Glob(filepath.Join(h.journal, "journal", "*", "*"))
			for _, folder := range folders {
				err = errors.Join(err, os.RemoveAll(folder))
			}
			return err
		},
		heal: func(context.Context) error {
			for _, folder := range folders {
				if segments, _ := filepath.Glob(filepath.Join(folder, "*.wal")); len(segments) == 0 {
					return fmt.Errorf("nothing is in %s", folder)
				}
			}
			return nil
		},
	}
}

func (h *host) isRunning(context.Context) error {
	if h.PID() == 0 {
		return errors.New("the daemon does not run")
	}
	return nil
}
