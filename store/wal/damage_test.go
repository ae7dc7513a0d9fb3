package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// rounds is how many times a test with random contents runs: few, unless TICKETD_TEST_ROUNDS says more.
func rounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("TICKETD_TEST_ROUNDS")
	if text == "" {
		return 3
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("TICKETD_TEST_ROUNDS: %v", err)
	}
	return n
}

// Whatever part of the last record was written, all before it is there and nothing else, and the log goes on. (Without the
// cut at Open, what is written next lies behind the torn record and the second Open fails.)
func TestTornAtEveryByte(t *testing.T) {
	t.Parallel()
	for round := range rounds(t) {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(round), 1))
			dir := t.TempDir()
			o := Options{Sync: Never, SegmentBytes: 200}
			l, _, _ := open(t, dir, o)
			records := random(r, 2+r.IntN(12), 90)
			for _, record := range records {
				appendAll(t, l, record)
			}
			end := l.End()
			closeLog(t, l)
			path, whole := lastSegment(t, dir)
			kept := records[:len(records)-1]
			size := int64(frameSize + len(records[len(records)-1]))
			for cut := end.Offset - size + 1; cut < end.Offset; cut++ {
				for _, rest := range [][]byte{nil, make([]byte, end.Offset-cut), garbage(r, 40)} {
					torn := slices.Concat(whole[:cut], rest)
					if bytes.HasPrefix(torn, whole) {
						continue // the rest happens to be what is missing
					}
					writeFile(t, path, torn)
					l, got, report := open(t, dir, o)
					want(t, got, kept...)
					if report.CutFile != path || report.Cut != int64(len(torn))-(end.Offset-size) {
						t.Fatalf("report %+v of %d bytes torn at %d", report, len(torn), cut)
					}
					appendAll(t, l, "next")
					closeLog(t, l)
					if cut%16 == 0 {
						got, report = contents(t, dir, o)
						want(t, got, append(slices.Clip(kept), "next")...)
						if report.Cut != 0 {
							t.Fatalf("report %+v of a log that was cut before", report)
						}
					}
					removeAfter(t, dir, end.Segment)
				}
			}
		})
	}
}

func garbage(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// removeAfter removes the segments above a number, which a try has added.
func removeAfter(t *testing.T, dir string, number uint64) {
	t.Helper()
	numbers, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range numbers {
		if n > number {
			if err := os.Remove(segmentPath(dir, n)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// fixed makes a log of three segments with two records each and returns its files.
func fixed(t *testing.T) (dir string, records []string, files map[string][]byte) {
	t.Helper()
	dir, files = t.TempDir(), map[string][]byte{}
	l, _, _ := open(t, dir, Options{Sync: Never})
	for i := range 6 {
		records = append(records, fmt.Sprintf("record %d", i))
		appendAll(t, l, records[i])
		if i%2 == 1 && i < 5 {
			if err := l.Rotate(); err != nil {
				t.Fatal(err)
			}
		}
	}
	closeLog(t, l)
	numbers, err := list(dir)
	if err != nil || len(numbers) != 3 {
		t.Fatalf("segments %v (%v), want three", numbers, err)
	}
	for _, n := range numbers {
		path := segmentPath(dir, n)
		files[path] = readFile(t, path)
	}
	return dir, records, files
}

// Every bit that flips is noticed: all records that are replayed are right, and any that is missing is reported. In the last
// record alone a flip looks like a torn write. (Without the checksum's comparison this fails at the first flip of a payload.)
func TestBitFlips(t *testing.T) {
	t.Parallel()
	dir, records, files := fixed(t)
	for path, whole := range files {
		for bit := range 8 * len(whole) {
			flipped := append([]byte{}, whole...)
			flipped[bit/8] ^= 1 << (bit % 8)
			writeFile(t, path, flipped)
			var got []string
			l, report, err := Open(dir, Options{Sync: Never}, func(_ Position, r []byte) error {
				got = append(got, string(r))
				return nil
			})
			want(t, got, records[:len(got)]...)
			var corrupt *CorruptError
			switch {
			case errors.As(err, &corrupt):
				if corrupt.File != path || corrupt.Before != int64(len(got)) || corrupt.Offset > int64(bit/8) {
					t.Fatalf("bit %d of %s: %+v after %d records", bit, path, corrupt, len(got))
				}
				if lost := int64(len(records)) - corrupt.Before - corrupt.After; lost > 1 {
					t.Fatalf("bit %d of %s: %v: %d records lost by one bit", bit, path, err, lost)
				}
			case err != nil:
				t.Fatalf("bit %d of %s: %v", bit, path, err)
			default:
				closeLog(t, l)
				if report.Cut == 0 || len(got) != 5 {
					t.Fatalf("bit %d of %s went unnoticed: %+v, records %q", bit, path, report, got)
				}
			}
			writeFile(t, path, whole)
		}
	}
}

// A closed segment that has become shorter is noticed, even where it ends with a record, and one that is gone, too.
func TestMissing(t *testing.T) {
	t.Parallel()
	dir, records, files := fixed(t)
	first, middle := segmentPath(dir, 1), segmentPath(dir, 2)
	for size := range len(files[first]) {
		writeFile(t, first, files[first][:size])
		wantCorrupt(t, dir, first, 4)
	}
	writeFile(t, first, files[first])
	if err := os.Remove(middle); err != nil {
		t.Fatal(err)
	}
	wantCorrupt(t, dir, segmentPath(dir, 3), 2)
	report, err := Salvage(dir)
	if err != nil || report.Records != 4 {
		t.Fatalf("Salvage: %+v, %v", report, err)
	}
	got, _ := contents(t, dir, Options{})
	want(t, got, append(records[:2:2], records[4:]...)...)
}

func wantCorrupt(t *testing.T, dir, file string, after int64) {
	t.Helper()
	_, _, err := Open(dir, Options{Sync: Never}, nil)
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) || corrupt.File != file || corrupt.After != after {
		t.Fatalf("Open: %v, want %s to be damaged and %d records after that", err, file, after)
	}
}

func TestSalvage(t *testing.T) {
	t.Parallel()
	dir, records, files := fixed(t)
	middle := segmentPath(dir, 2)
	damaged := append([]byte{}, files[middle]...)
	damaged[headerSize+frameSize] ^= 0x20
	writeFile(t, middle, damaged)
	if _, _, err := Open(dir, Options{}, nil); err == nil {
		t.Fatal("Open of a damaged log succeeded")
	}
	report, err := Salvage(dir)
	if err != nil || report.Records != 5 || len(report.Aside) != 1 || report.Skipped == 0 {
		t.Fatalf("Salvage: %+v, %v", report, err)
	}
	if aside := readFile(t, report.Aside[0]); string(aside) != string(damaged) || filepath.Ext(report.Aside[0]) != ".corrupt" {
		t.Errorf("%s is not what was found", report.Aside[0])
	}
	l, got, _ := open(t, dir, Options{})
	want(t, got, append(records[:2:2], records[3:]...)...)
	appendAll(t, l, "next")
	closeLog(t, l)
	got, _ = contents(t, dir, Options{})
	want(t, got, append(append(records[:2:2], records[3:]...), "next")...)
	again, err := Salvage(dir)
	if err != nil || len(again.Aside) != 0 || again.Records != 6 {
		t.Fatalf("Salvage of a log without damage: %+v, %v", again, err)
	}
}

// A header that is damaged costs no record: names and checksums do not need it.
func TestSalvageHeader(t *testing.T) {
	t.Parallel()
	dir, records, files := fixed(t)
	for path, whole := range files {
		writeFile(t, path, append(make([]byte, headerSize), whole[headerSize:]...))
	}
	report, err := Salvage(dir)
	if err != nil || len(report.Aside) != 3 {
		t.Fatalf("Salvage: %+v, %v", report, err)
	}
	got, _ := contents(t, dir, Options{})
	want(t, got, records...)
}

func TestOtherJournalsSegment(t *testing.T) {
	t.Parallel()
	_, _, files := fixed(t)
	dir, _, _ := fixed(t)
	for path, data := range files {
		writeFile(t, filepath.Join(dir, filepath.Base(path)), data)
	}
	if _, _, err := Open(dir, Options{}, nil); err == nil {
		t.Fatal("another journal's segments were accepted")
	}
}

// The payload of a torn record cannot pass for a record: its writer does not know the journal's id.
func TestRecordInsideATornRecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l, _, _ := open(t, dir, Options{})
	appendAll(t, l, "good", "xx"+string(appendRecord(nil, 0, []byte("forged")))+"xx")
	closeLog(t, l)
	path, data := lastSegment(t, dir)
	writeFile(t, path, data[:len(data)-1])
	got, report := contents(t, dir, Options{})
	want(t, got, "good")
	if report.Cut == 0 {
		t.Errorf("report %+v", report)
	}
}
