package spool

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	// markName is the file in the base by which the daemon knows it again: 32 hexadecimal digits.
	markName  = ".id"
	markBytes = 16
)

// errAnother means that the base is not the one that the daemon has used before.
var errAnother = errors.New("another folder")

// recognize refuses a base that is not the one that the state names: where a file system is mounted late, or a folder was moved
// away while no daemon ran, older changes may wait in the other one. base is nil where there is none. While a daemon runs it
// knows the former folder, see [lane.part], and the state follows when nothing waits in it. It is called with mu held.
func (s *Spool) recognize(base *os.File) error {
	if s.opts.State == "" || s.recorded {
		return nil
	}
	known, err := s.known()
	mark := ""
	if err == nil && base != nil {
		mark, err = readMark(base)
	}
	if err != nil {
		return err
	}
	if known != "" && mark != known {
		return fmt.Errorf("%s is %w than the one that was used before, in which changes may wait: mount it or put it back; "+
			"where there is none any more, remove %s", s.opts.Path, errAnother, s.opts.State)
	}
	return nil
}

// known returns the mark of the folder that the state names for this path; an empty string where it names none.
func (s *Spool) known() (string, error) {
	record, err := os.ReadFile(s.opts.State)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("which spool folder was used before cannot be read: %w", err)
	}
	mark, path, _ := strings.Cut(strings.TrimSuffix(string(record), "\n"), " ")
	if path != s.opts.Path {
		return "", nil
	}
	return mark, nil
}

// remember writes down that the base is the folder that holds the changes. It is called with tidying held.
func (s *Spool) remember(base *os.File) {
	if s.opts.State == "" {
		return
	}
	mark, err := readMark(base)
	if err == nil && mark == "" {
		mark, err = makeMark(base)
	}
	record := mark + " " + s.opts.Path + "\n"
	if was, _ := os.ReadFile(s.opts.State); err == nil && string(was) != record { // one that cannot be read is written
		err = writeRecord(s.opts.State, record)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.recorded {
		return // the log was told
	}
	if err != nil {
		s.opts.Log.Warn().Err(err).Msg("which folder is the spool cannot be written down: at the next start another one would be used")
	}
	s.recorded = true
}

// readMark returns the base's mark; an empty string where it has none.
func readMark(base *os.File) (string, error) {
	fd, err := unix.Openat(int(base.Fd()), markName, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(base.Name(), markName), err)
	}
	file := os.NewFile(uintptr(fd), markName)
	defer func() { _ = file.Close() }()
	content, err := io.ReadAll(io.LimitReader(file, 2*markBytes))
	if err != nil {
		return "", fmt.Errorf("%s: %w", filepath.Join(base.Name(), markName), err)
	}
	return string(content), nil
}

// makeMark gives the base a mark, which a daemon that starts at the same time may do, too: the first one stays.
func makeMark(base *os.File) (string, error) {
	var random [markBytes]byte
	_, _ = rand.Read(random[:]) // it never fails
	mark, draft := hex.EncodeToString(random[:]), unwritten+markName
	flags := unix.O_WRONLY | unix.O_CREAT | unix.O_TRUNC | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(int(base.Fd()), draft, flags, 0o600)
	if err != nil {
		return "", fmt.Errorf("marking %s: %w", base.Name(), err)
	}
	file := os.NewFile(uintptr(fd), draft)
	_, err = file.WriteString(mark)
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = unix.Renameat2(int(base.Fd()), draft, int(base.Fd()), markName, unix.RENAME_NOREPLACE)
	}
	if errors.Is(err, unix.EEXIST) {
		return readMark(base)
	}
	if err != nil {
		return "", fmt.Errorf("marking %s: %w", base.Name(), err)
	}
	return mark, nil
}

func writeRecord(path, record string) error {
	draft := path + ".new"
	if err := os.WriteFile(draft, []byte(record), 0o600); err != nil {
		return err
	}
	return os.Rename(draft, path)
}
