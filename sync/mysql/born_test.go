package mysql_test

import (
	"testing"
	"time"
)

// A ticket that a set has made is as old as the set, not as its flush, and not younger than its last change, which another clock
// may have dated. A set of a ticket that is there leaves its time of creation alone.
func TestTicketsOfSetsAreAsOldAsTheSet(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		since := time.Date(2025, 3, 4, 5, 6, 7, 8_000_000, time.UTC)
		first := set(1, 10, "status", "open", "updated_at", "2025-03-04 06:00:00")
		second := set(2, 10, "status", "open", "updated_at", "2025-03-04 05:06:06")
		given := set(3, 10, "status", "open", "created_at", "2024-01-01 00:00:00")
		first.Since, second.Since, given.Since = since, since, since
		wantStored(t, write(t, db, first, second, given), 10, 10, 10)
		wantFields(t, db, 1, 10, "created_at", "2025-03-04 05:06:07", "updated_at", "2025-03-04 06:00:00")
		wantFields(t, db, 2, 10, "created_at", "2025-03-04 05:06:06")
		wantFields(t, db, 3, 10, "created_at", "2024-01-01 00:00:00")
		later := set(1, 20, "status", "closed")
		later.Since = since.Add(24 * time.Hour)
		wantStored(t, write(t, db, later), 20)
		wantFields(t, db, 1, 20, "status", "closed", "created_at", "2025-03-04 05:06:07")
	})
}
