package chaos

import (
	"github.com/ticketd/ticketd/internal/chaos/check"
	"github.com/ticketd/ticketd/internal/chaos/history"
)

// verdict looks for violations in a history.
func verdict(h *history.History) []history.Violation { return check.All(h) }
