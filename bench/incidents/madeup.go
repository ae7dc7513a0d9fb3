package incidents

import (
	"fmt"
	"math/rand/v2"
)

// MadeUp is a log of about the size and shape of the real log, for use without the real log: tickets in turn, each with all
// updates of its life. Every call returns the same log.
func MadeUp() []Update {
	const tickets, most = 890, 12
	random := rand.New(rand.NewPCG(1, 2))
	text := func(format string, n int) *string {
		s := fmt.Sprintf(format, n)
		return &s
	}
	var updates []Update
	for t := range tickets {
		life := 1 + random.IntN(most)
		for u := range life {
			status := []string{"New", "Active", "Awaiting User Info"}[min(u, 2)]
			if u == life-1 {
				status = "Closed"
			}
			fields := map[string]*string{
				"status": &status, "subject": text("Symptom %d", t%134), "category": text("Category %d", t%32),
				"customer_id": text("%d", 1+t%639), "created_at": text("2016-02-29 01:%02d:00", t%60),
				"updated_at": text("2016-03-01 %02d:00:00", u), "assigned_to": nil, "location": text("Location %d", t%85),
				"assignment_group": text("Group %d", random.IntN(62)), "problem_id": nil,
			}
			if u > 0 {
				fields["assigned_to"] = text("%d", 1+random.IntN(123))
			}
			updates = append(updates, Update{Ticket: int64(t + 1), Fields: fields})
		}
	}
	return updates
}
