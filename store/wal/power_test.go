package wal

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
)

// afterPowerLoss copies a log's folder as a disk may have it when the power was lost: of what was written after a file's
// last fdatasync any part may be there, and anything in place of the rest.
func (d *disk) afterPowerLoss(t *testing.T, r *rand.Rand, dir string) string {
	t.Helper()
	lost := t.TempDir()
	numbers, err := list(dir)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(lost, "id"), readFile(t, filepath.Join(dir, "id")))
	for _, n := range numbers {
		path := segmentPath(dir, n)
		data := readFile(t, path)
		safe := int(d.safe[path])
		kept := safe + r.IntN(len(data)-safe+1)
		rest := [][]byte{nil, make([]byte, len(data)-kept), garbage(r, len(data)-kept)}[r.IntN(3)]
		writeFile(t, segmentPath(lost, n), slices.Concat(data[:kept], rest))
	}
	return lost
}

// Whatever a loss of power takes, and whichever errors the disk reported before, what Commit has returned for is there, in
// its order, and so is nothing that was not written.
func TestPowerLoss(t *testing.T) {
	t.Parallel()
	for round := range 10 * rounds(t) {
		t.Run(strconv.Itoa(round), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(round), 2))
			dir, d := t.TempDir(), newDisk()
			l, _, _ := open(t, dir, Options{SegmentBytes: 400, OpenFile: d.open})
			var written []string
			committed := 0
			for range 150 {
				switch n := r.IntN(20); {
				case n < 10:
					record := random(r, 1, 90)[0]
					if _, err := l.Append([]byte(record)); err == nil {
						written = append(written, record)
					}
				case n < 14:
					if l.Commit(t.Context(), l.End()) == nil {
						committed = len(written)
					}
				case n < 15:
					_ = l.Rotate()
				case n < 16:
					d.fails([]string{"sync", "write", "truncate"}[r.IntN(3)], r.IntN(2))
				case n < 17:
					d.setRoom(int64(r.IntN(100)))
				case n < 19:
					d.setRoom(-1)
				default:
					lost := d.afterPowerLoss(t, r, dir)
					got, _ := contents(t, lost, Options{Sync: Never})
					if len(got) < committed || len(got) > len(written) {
						t.Fatalf("%d records, %d were committed, %d written", len(got), committed, len(written))
					}
					want(t, got, written[:len(got)]...)
					if err := os.RemoveAll(lost); err != nil {
						t.Fatal(err)
					}
				}
			}
			d.setRoom(-1)
			for _, operation := range []string{"sync", "write", "truncate"} {
				d.fails(operation, 0)
			}
			closeLog(t, l)
			got, _ := contents(t, dir, Options{})
			want(t, got, written...)
		})
	}
}
