package mysql_test

import (
	"slices"
	"testing"
	"time"
)

// Two daemons of a table work with different keys: each hears of the other, as long as that goes on. Several daemons with the
// same keys hear nothing.
func TestDaemonsWithOtherKeysAreNamed(t *testing.T) {
	t.Parallel()
	servers(t, func(t *testing.T, dsn string) {
		db := migrated(t, dsn)
		names := func(filling, described string, within time.Duration, want ...string) {
			t.Helper()
			if others, err := db.Witness(t.Context(), filling, described, within); err != nil || !slices.Equal(others, want) {
				t.Errorf("%s hears of %q (%v), want %q", described, others, err, want)
			}
		}
		names("e1", "a", time.Hour)
		names("e1", "another a", time.Hour)
		names("e2", "b", time.Hour, "another a")
		names("e1", "a", time.Hour, "b")
		exec(t, db, "UPDATE wp_support_tickets_identity SET accepted = accepted - INTERVAL 1 HOUR WHERE id > 1")
		names("e2", "b", time.Minute)
	})
}
