package mysql

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
)

// batch is a write with rows 1 to n.
func batch(n int) (*write, []row) {
	w := &write{
		db: new(DB), conflicts: new(atomic.Int64), lone: new(atomic.Bool), misfits: new(misfits), results: make([]flush.Result, n),
	}
	rows := make([]row, n)
	for i := range rows {
		rows[i] = row{id: ticket.ID(i + 1), revision: 1, at: i}
	}
	return w, rows
}

func number(n uint16) error {
	return &driver.MySQLError{Number: n, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}}
}

// The server's real limit is lower than its stated limit: the sink halves the batch until the parts fit, and refuses only the
// row that never fits.
func TestSettleHalvesWhatIsTooLarge(t *testing.T) {
	t.Parallel()
	w, rows := batch(16)
	err := w.settle(t.Context(), rows, 0, func(_ context.Context, rows []row) error {
		for i := range rows {
			if len(rows) > 3 || rows[i].id == 9 {
				return number(errPacketTooLarge)
			}
		}
		for i := range rows {
			w.stored(&rows[i], 1)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range w.results {
		if (r.Refused != nil) != (i == 8) || r.Refused == nil && r.Revision != 1 {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

func TestSettleGivesUpOnLockedRowsButNotOnTheOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w, rows := batch(64)
		err := w.settle(t.Context(), rows, 0, func(_ context.Context, rows []row) error {
			if rows[0].id <= 5 && rows[len(rows)-1].id >= 5 {
				return number(1213)
			}
			for i := range rows {
				w.stored(&rows[i], 1)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range w.results { // four of the 64 rows are left with the locked row after five attempts
			if left := i >= 4 && i < 8; r.Refused != nil || (r.Later != nil) != left || (r.Revision == 1) == left {
				t.Errorf("row %d: %+v", i+1, r)
			}
		}
	})
}

// The sink finds a row that stays locked by halving, and leaves the row alone for later. Five attempts are not enough for that:
// with the bound for deadlocks the locked row takes 61 other rows with it (tried by hand).
func TestSettleFindsTheRowThatStaysLocked(t *testing.T) {
	t.Parallel()
	w, rows := batch(1000)
	waits := 0
	err := w.settle(t.Context(), rows, 0, func(_ context.Context, rows []row) error {
		if rows[0].id <= 700 && rows[len(rows)-1].id >= 700 {
			waits++
			return number(errLockWait)
		}
		for i := range rows {
			w.stored(&rows[i], 1)
		}
		return nil
	})
	if err != nil || waits > maxWaits {
		t.Errorf("error %v, %d waits", err, waits)
	}
	for i, r := range w.results {
		if left := i == 699; (r.Later != nil) != left || (r.Revision == 1) == left {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

// If the server says which rows are locked, a single wait finds the locked rows, and the sink tries the other rows once more.
func TestSettleAsksWhichRowsAreLocked(t *testing.T) {
	t.Parallel()
	w, rows := batch(1000)
	w.locate = func(context.Context, []row) (map[ticket.ID]bool, error) {
		return map[ticket.ID]bool{700: true, 3: true}, nil
	}
	tries := 0
	err := w.settle(t.Context(), rows, 0, func(_ context.Context, rows []row) error {
		tries++
		if len(rows) == 1000 {
			return number(errLockWait)
		}
		for i := range rows {
			w.stored(&rows[i], 1)
		}
		return nil
	})
	if err != nil || tries != 2 {
		t.Errorf("error %v, %d tries, want 2", err, tries)
	}
	for i, r := range w.results {
		if left := i == 699 || i == 2; (r.Later != nil) != left || (r.Revision == 1) == left {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

// Another client holds the whole table: the waits are bounded.
func TestSettleDoesNotWaitForEveryRow(t *testing.T) {
	t.Parallel()
	w, rows := batch(1000)
	waits := 0
	err := w.settle(t.Context(), rows, 0, func(context.Context, []row) error {
		waits++
		return number(errLockWait)
	})
	if err != nil || waits > 2*maxWaits {
		t.Errorf("error %v, %d waits, want %d at most", err, waits, 2*maxWaits)
	}
	for i, r := range w.results {
		if r.Later == nil {
			t.Errorf("row %d: %+v", i+1, r)
		}
	}
}

func TestSettleStopsWaitingWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	w, rows := batch(2)
	err := w.settle(ctx, rows, 0, func(context.Context, []row) error {
		cancel()
		return number(1213)
	})
	if !errors.Is(err, flush.ErrSinkDown) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want down because the caller gave up", err)
	}
}

// The class of the SQLSTATE judges numbers that the table of numbers lacks; if the class is unknown too, a probe decides, see
// TestAnswersThatNobodyNamed.
func TestNumbersThatNobodyNamed(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]verdict{
		"22003": data, "23000": data, "45000": data, "40001": conflict, "08S01": down, "28000": down, "HY000": unknown,
	} {
		err := &driver.MySQLError{Number: 9998, SQLState: [5]byte([]byte(state))}
		if got := judge(err); got != want {
			t.Errorf("state %s: verdict %d, want %d", state, got, want)
		}
	}
}

func TestFlavours(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]flavour{
		"8.0.36":                     {false, lastSecondSigned, depthMySQL},
		"10.11.6-MariaDB-0+deb12u1":  {true, lastSecondSigned, depthMariaDB},
		"11.4.2-MariaDB-log":         {true, lastSecondSigned, depthMariaDB},
		"11.8.3-MariaDB-0+deb13u1":   {true, lastSecondUnsigned, depthMariaDB},
		"12.0.1-MariaDB-ubu2404-log": {true, lastSecondUnsigned, depthMariaDB},
	} {
		if got := flavourOf(version); got != want {
			t.Errorf("%s: %+v, want %+v", version, got, want)
		}
	}
}
