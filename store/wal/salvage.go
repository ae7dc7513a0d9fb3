package wal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Salvage repairs a damaged log, so that Open accepts the log: Salvage replaces each damaged segment by a segment with the
// readable records, in the same order, and keeps the damaged file in the same folder under a name that ends in ".corrupt".
// Unreadable records are lost. A torn tail is left to Open. A log without damage is left unchanged.
func Salvage(dir string) (Report, error) {
	held, err := lock(dir)
	if err != nil {
		return Report{}, fmt.Errorf("salvage the journal: %w", err)
	}
	report, err := salvage(dir)
	if err = errors.Join(err, unlock(held)); err != nil {
		return report, fmt.Errorf("salvage the journal: %w", err)
	}
	return report, nil
}

func salvage(dir string) (report Report, err error) {
	if err := removeTmp(dir); err != nil {
		return report, err
	}
	id, err := loadID(dir)
	if err != nil {
		return report, err
	}
	err = walk(dir, id, func(f *found) error {
		report.Segments++
		var records [][]byte
		keep := func(_ int64, payload []byte) error {
			report.Records++
			records = append(records, payload)
			return nil
		}
		end, bad := f.good(keep)
		torn := f.last && bad.reason != "" && findRecord(f.data, end+1, f.seed) < 0
		if torn || (bad.reason == "" && !f.gap) {
			report.Bytes += f.size
			return nil
		}
		skipped, err := readAll(f.data, end, f.seed, keep)
		if err != nil {
			return err
		}
		report.Skipped += skipped
		if bad.reason != "" {
			aside, err := setAside(f)
			if err != nil {
				return err
			}
			report.Aside = append(report.Aside, aside)
		}
		size, err := f.rewrite(id, records)
		report.Bytes += size
		return err
	})
	return report, err
}

// setAside gives a damaged segment a second name, under which the file stays.
func setAside(f *found) (string, error) {
	for n := 1; ; n++ {
		aside := filepath.Join(filepath.Dir(f.path), fmt.Sprintf("%0*d-%d.corrupt", digits, f.number, n))
		if err := os.Link(f.path, aside); !os.IsExist(err) {
			return aside, err
		}
	}
}

// rewrite replaces the segment that was found by a segment with the given records.
func (f *found) rewrite(id journalID, records [][]byte) (int64, error) {
	h := header{flags: flagSalvaged, id: id, number: f.number}
	if f.broken == nil && !f.gap {
		h.before = f.header.before
	}
	body := []byte{}
	for _, r := range records {
		body = appendRecord(body, f.seed, r)
	}
	w, err := writeWhole(OpenFile, f.path, h.bytes(), body)
	if err != nil {
		return 0, noRoom(err)
	}
	return int64(headerSize + len(body)), w.Close()
}
