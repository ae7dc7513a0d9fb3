package check

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/chaos/history"
)

// listing is a ticket's fields as people read them.
func listing(fields map[string]history.Value) string {
	parts := make([]string, 0, len(fields))
	for _, field := range slices.Sorted(maps.Keys(fields)) {
		parts = append(parts, field+"="+text(fields[field]))
	}
	return "{" + strings.Join(parts, " ") + "}"
}

// text is a value as people read it.
func text(value history.Value) string {
	if value == nil {
		return "NULL"
	}
	return strconv.Quote(*value)
}
