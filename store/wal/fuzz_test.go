package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		writeFile(t, filepath.Join(dir, "id"), []byte(id.String()))
		writeFile(t, segmentPath(dir, 1), data)
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

// The journal that FuzzDamage damages: segments of so many records each.
const (
	fuzzSegments = 3
	fuzzRecords  = 4
)

// fuzzRecord is the payload of one of them, each of another length; the last of a segment holds bytes that read like a record.
func fuzzRecord(segment, i int) []byte {
	payload := fmt.Appendf(nil, "record %d of segment %d%*s", i, segment, 3*i, "")
	if i == fuzzRecords-1 {
		payload = appendRecord(payload, journalID{9}.seed(), []byte("another journal's"))
	}
	return payload
}

// fuzzFolder is an undamaged journal: the contents of its files by their names.
func fuzzFolder() map[string][]byte {
	id := journalID{1, 2, 3}
	folder := map[string][]byte{"id": []byte(id.String() + "\n")}
	before := 0
	for segment := 1; segment <= fuzzSegments; segment++ {
		h := header{id: id, number: uint64(segment), before: uint64(before)}
		data := h.bytes()
		for i := range fuzzRecords {
			data = appendRecord(data, id.seed(), fuzzRecord(segment, i))
		}
		folder[filepath.Base(segmentPath("", uint64(segment)))] = data
		before = len(data)
	}
	return folder
}

// FuzzDamage puts anything into one place of a journal's folder: over what stands there, between, instead of, or as a file of its
// own. Opening it never panics; whatever comes out was put in, in order; what lies before the damage is all there; and what is
// not all there is reported, by Open and in the same way by Check.
func FuzzDamage(f *testing.F) {
	f.Add(uint8(0), uint16(0), uint16(0), []byte{})            // nothing
	f.Add(uint8(3), uint16(60), uint16(1), []byte{0xff})       // a flipped byte in the last segment
	f.Add(uint8(1), uint16(100), uint16(1), []byte("x"))       // in the first
	f.Add(uint8(3), uint16(150), uint16(9999), []byte{})       // a torn end
	f.Add(uint8(2), uint16(150), uint16(9999), []byte{})       // a segment that became shorter
	f.Add(uint8(3), uint16(9999), uint16(0), make([]byte, 64)) // zeros behind the end
	f.Add(uint8(2), uint16(0), uint16(9999), []byte{})         // an empty segment
	f.Add(uint8(2), uint16(52), uint16(0), []byte("more"))     // bytes between
	f.Add(uint8(0), uint16(3), uint16(1), []byte("z"))         // the journal's name
	f.Add(uint8(4), uint16(0), uint16(0), []byte("ticketdJ"))  // another file
	f.Add(uint8(5), uint16(0), uint16(0), []byte{})            // a segment is gone
	f.Fuzz(func(t *testing.T, which uint8, at, over uint16, put []byte) {
		folder := fuzzFolder()
		untouched := spoil(folder, which, int(at), int(over), put)
		dir := t.TempDir()
		for name, data := range folder {
			writeFile(t, filepath.Join(dir, name), data)
		}
		writeFile(t, filepath.Join(dir, "LOCK"), nil)
		checked := Check(dir)
		var got []string
		l, report, err := Open(dir, Options{Sync: Never}, func(_ Position, record []byte) error {
			got = append(got, string(record))
			return nil
		})
		if (err == nil) != (checked == nil) {
			t.Errorf("Open: %v, Check: %v", err, checked)
		}
		if err == nil {
			closeLog(t, l)
			requireKept(t, got, untouched)
			if len(got) < fuzzSegments*fuzzRecords && report.CutFile == "" && tells(folder, which) {
				t.Errorf("%d records are missing, and the report does not say so: %+v", fuzzSegments*fuzzRecords-len(got), report)
			}
			return
		}
		var corrupt *CorruptError
		if !errors.As(err, &corrupt) {
			return // another journal's, another version's, or no name of a journal: nothing was touched
		}
		if corrupt.File == "" || corrupt.Reason == "" || int64(len(got)) != corrupt.Before {
			t.Errorf("%+v after %d records", corrupt, len(got))
		}
		requireKept(t, got, min(untouched, len(got)))
		requireSalvaged(t, dir, untouched)
	})
}

// spoil changes the folder and returns how many records lie before the change.
func spoil(folder map[string][]byte, which uint8, at, over int, put []byte) (untouched int) {
	const all = fuzzSegments * fuzzRecords
	which %= fuzzSegments + 3
	name := filepath.Base(segmentPath("", uint64(which)))
	switch {
	case which == 0:
		name = "id"
		untouched = all
	case which > fuzzSegments+1: // a segment in the middle is gone
		delete(folder, filepath.Base(segmentPath("", uint64(1+at%(fuzzSegments-1)))))
		return 0
	case which > fuzzSegments: // one more segment
		folder[name] = put
		return all
	default:
		untouched = int(which-1) * fuzzRecords
	}
	data := folder[name]
	at = min(at, len(data))
	end := min(at+over, len(data))
	folder[name] = slices.Concat(data[:at], put, data[end:])
	if which > 0 {
		for i, offset := 0, headerSize; i < fuzzRecords; i++ {
			if offset += frameSize + len(fuzzRecord(int(which), i)); offset <= at {
				untouched++
			}
		}
	}
	return untouched
}

// tells says that the folder itself shows that records are missing. That the first segments are gone is in order, and that the
// last one ends early, between two records, is what a loss of power may leave.
func tells(folder map[string][]byte, which uint8) bool {
	which %= fuzzSegments + 3
	last := folder[filepath.Base(segmentPath("", fuzzSegments))]
	end, _ := readRun(last, min(headerSize, int64(len(last))), journalID{1, 2, 3}.seed(), func(int64, []byte) error { return nil })
	return which != fuzzSegments+2 && (which != fuzzSegments || end < int64(len(last)))
}

// requireKept fails unless got are records of the journal in their order, and the first untouched of them all.
func requireKept(t *testing.T, got []string, untouched int) {
	t.Helper()
	var all []string
	for segment := 1; segment <= fuzzSegments; segment++ {
		for i := range fuzzRecords {
			all = append(all, string(fuzzRecord(segment, i)))
		}
	}
	if len(got) < untouched || !slices.Equal(got[:untouched], all[:untouched]) {
		t.Errorf("got %d records, and not the first %d: %q", len(got), untouched, got)
	}
	next := 0
	for _, r := range got {
		at := slices.Index(all[next:], r)
		if at < 0 {
			t.Fatalf("%q comes out, which was never put in, or not there", r)
		}
		next += at + 1
	}
}

// requireSalvaged takes out what can be read: at least what lies before the damage, and Open then takes it all.
func requireSalvaged(t *testing.T, dir string, untouched int) {
	t.Helper()
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	salvaged, err := Salvage(dir)
	if err != nil {
		t.Fatalf("Salvage: %v", err)
	}
	got, report := contents(t, dir, Options{Sync: Never})
	if int64(len(got)) != salvaged.Records && report.Cut == 0 {
		t.Errorf("%d records after Salvage, which says %+v", len(got), salvaged)
	}
	requireKept(t, got, untouched)
	if after, err := os.ReadDir(dir); err != nil || len(after) < len(before) {
		t.Errorf("Salvage removed files (%v): %v, before %v", err, after, before)
	}
}
