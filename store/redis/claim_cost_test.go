package redis

import (
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
)

// A claim reads revisions, not texts: a text that is no number would cost an error with its message, for each field of a ticket.
func TestAClaimReadsNoTextAsARevision(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts for the whole process
	hash := map[string]string{fieldRevision: "9", fieldDirty: "5", fieldClean: "1"}
	for _, name := range []string{"status", "category", "priority", "assigned_to", "updated_at"} {
		hash[name], hash[markPrefix+name] = "a text", "9"
	}
	var c int
	const most = 2 // of the list of fields
	if got := testing.AllocsPerRun(100, func() { c = len(claim(7, hash, ticket.Revision(0)).Fields) }); got > most || c != 5 {
		t.Errorf("a claim of %d fields allocates %v times, want %d at most", c, got, most)
	}
}
