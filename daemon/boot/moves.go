package boot

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store/outbox"
)

const (
	// toldFor is for how long the status names a ticket that got another id, and maxTold how many it names; the log has all.
	toldFor = 7 * 24 * time.Hour
	maxTold = 16
)

// movesFile is where a site's moves are remembered; empty for nowhere.
func movesFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".moves")
}

// outboxMoves has the moves of the journal before Redis remembered.
type outboxMoves struct{ *moves.Register }

// Moved implements [outbox.Moves].
func (m outboxMoves) Moved(of outbox.Move) error {
	return m.Keep(moves.Move{Create: moves.Create{ID: of.From, Request: of.RequestID, Since: of.Since}, To: of.To, At: of.At})
}

// movedTexts name the new tickets that got another id than the one their clients received, the latest first.
func movedTexts(of *moves.Register, now time.Time) []string {
	all := of.Since(now.Add(-toldFor))
	slices.Reverse(all)
	var texts []string
	for i := range all[:min(len(all), maxTold)] {
		texts = append(texts, movedText(all[i].ID, all[i].To, all[i].At))
	}
	if more := len(all) - maxTold; more > 0 {
		texts = append(texts, fmt.Sprintf("%d more new tickets got another id than the one their clients received: see the log", more))
	}
	return texts
}

// movedText says that a new ticket has another id than the one its client received.
func movedText(from, to ticket.ID, at time.Time) string {
	return "a create was acknowledged with the id " + from.String() + ", which belongs to another ticket; at " +
		at.UTC().Format(time.RFC3339) + " the new ticket got the id " + to.String() + ": pass " +
		to.String() + " on to whoever received " + from.String()
}
