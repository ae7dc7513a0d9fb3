package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	version    = 1
	headerSize = 52
	suffix     = ".wal"
	tmpSuffix  = ".tmp"
	digits     = 20 // of a segment's number in the file name: enough for every uint64

	// flagSalvaged marks a segment that Salvage has written: the segment may have another length than its successor says, and its
	// predecessor may be missing.
	flagSalvaged = 1 << 0
)

var (
	magic      = []byte("ticketdJ")
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// journalID is the random name of a journal.
type journalID [16]byte

func (id journalID) String() string { return hex.EncodeToString(id[:]) }

// header is the beginning of a segment; see the package's comment.
type header struct {
	flags  uint32
	id     journalID
	number uint64
	before uint64
}

func (h *header) bytes() []byte {
	b := make([]byte, 0, headerSize)
	b = append(b, magic...)
	b = binary.BigEndian.AppendUint32(b, version)
	b = binary.BigEndian.AppendUint32(b, h.flags)
	b = append(b, h.id[:]...)
	b = binary.BigEndian.AppendUint64(b, h.number)
	b = binary.BigEndian.AppendUint64(b, h.before)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// parseHeader reads the header at the beginning of a segment.
func parseHeader(data []byte) (h header, err error) {
	switch {
	case len(data) < headerSize:
		return h, fmt.Errorf("the header has %d of %d bytes", len(data), headerSize)
	case !bytes.Equal(data[:8], magic):
		return h, fmt.Errorf("no segment of a journal begins with %x", data[:8])
	case binary.BigEndian.Uint32(data[48:]) != crc32.Checksum(data[:48], castagnoli):
		return h, errors.New("the header's checksum is wrong")
	}
	if v := binary.BigEndian.Uint32(data[8:]); v != version {
		return h, &VersionError{Version: v}
	}
	h.flags = binary.BigEndian.Uint32(data[12:])
	copy(h.id[:], data[16:])
	h.number = binary.BigEndian.Uint64(data[32:])
	h.before = binary.BigEndian.Uint64(data[40:])
	return h, nil
}

// VersionError says that a program with another format wrote a segment: the segment is not damaged.
type VersionError struct {
	File    string
	Version uint32
}

func (e *VersionError) Error() string {
	return fmt.Sprintf("%s has format version %d, this program reads version %d", e.File, e.Version, version)
}

func segmentPath(dir string, number uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%0*d%s", digits, number, suffix))
}

// list returns the numbers of a folder's segments, in order.
func list(dir string) ([]uint64, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []uint64
	for _, e := range entries {
		text, is := strings.CutSuffix(e.Name(), suffix)
		if !is || len(text) != digits {
			continue
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			continue
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers, nil
}

// removeTmp removes unfinished files of an earlier process.
func removeTmp(dir string) error {
	left, err := filepath.Glob(filepath.Join(dir, "*"+tmpSuffix))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}
