package protocol

// ReplyBytes is how many bytes the frame of a reply takes at most, so that room can be made before it is built. It is exact to
// some dozen bytes for each ticket and field. Results that are small whatever happens count as nothing.
func ReplyBytes(r Result) int {
	n, _ := extentOf(r)
	return n
}

// What surrounds the texts on the wire, at most.
const (
	headBytes    = 64  // of any reply
	ticketBytes  = 192 // id, revision, marks and numbers with their names
	pairBytes    = 16  // of a field: the heads of two strings, or of a string and a number
	outcomeBytes = 256 // of a refused pair: its error's keys and flags
	messageBytes = 2 << 10
)

// extentOf returns what a reply takes at most, and at least: that is its texts alone.
func extentOf(r Result) (most, least int) {
	switch r := r.(type) {
	case *Ticket:
		most, least = ofTicket(r)
	case *GetManyResult:
		most, least = ofTickets(r.Tickets)
	case *ListResult:
		most, least = ofTickets(r.Tickets)
		most += len(r.Next)
	case *DeadListResult:
		for i := range r.Letters {
			m, l := ofFields(r.Letters[i].Fields)
			most, least = most+m+ticketBytes+len(r.Letters[i].Reason), least+l
		}
	case *SetManyResult:
		for i := range r.Outcomes {
			most += pairBytes
			if failure := r.Outcomes[i].Err; failure != nil {
				most += outcomeBytes + min(len(failure.Message)+len(failure.Field), messageBytes)
			}
		}
	default:
		return 0, 0
	}
	return most + headBytes, least
}

func ofTickets(tickets []*Ticket) (most, least int) {
	for _, t := range tickets {
		most++
		if t != nil {
			m, l := ofTicket(t)
			most, least = most+m, least+l
		}
	}
	return most, least
}

func ofTicket(t *Ticket) (most, least int) {
	most, least = ofFields(t.Fields)
	return most + ticketBytes, least
}

func ofFields(fields []Field) (most, least int) {
	for i := range fields {
		least += len(fields[i].Name) + len(fields[i].Value.Text())
	}
	return least + len(fields)*pairBytes, least
}
