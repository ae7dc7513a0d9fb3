package wal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzOpen opens a folder whose last segment holds anything: it never panics, and a second Open finds what the first one has
// found, unless that refused it; then Salvage makes one succeed.
func FuzzOpen(f *testing.F) {
	id := journalID{1, 2, 3}
	h := header{id: id, number: 1}
	good := appendRecord(appendRecord(h.bytes(), id.seed(), []byte("one")), id.seed(), []byte("two"))
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(good[1:])
	f.Add(append(good[:60:60], good[61:]...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		write := func(name string, data []byte) {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write("id", []byte(id.String()))
		write(filepath.Base(segmentPath(dir, 1)), data)
		l, report, err := Open(dir, Options{Sync: Never}, nil)
		var corrupt *CorruptError
		switch {
		case errors.As(err, &corrupt):
			salvaged, err := Salvage(dir)
			if err != nil || salvaged.Records != corrupt.Before+corrupt.After {
				t.Fatalf("Salvage: %+v (%v) after %v", salvaged, err, corrupt)
			}
			report.Records = salvaged.Records
		case err != nil:
			return // another journal's, or another version's
		default:
			closeLog(t, l)
		}
		if _, again := contents(t, dir, Options{Sync: Never}); again.Records != report.Records || again.Cut != 0 {
			t.Fatalf("second Open: %+v, first %+v (%v)", again, report, err)
		}
	})
}
