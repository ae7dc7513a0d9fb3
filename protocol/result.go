package protocol

// Result is the result of one method. The types of this package are the only ones that implement it.
type Result interface {
	// Decode reads the result from a reply.
	Decode(raw Raw) error
	encode(e *Encoder)
}

// PingResult is the result of ping.
type PingResult struct {
	Version  string
	Protocol int
}

// CreateResult is the result of create.
type CreateResult struct {
	ID       int64
	Revision int64
}

// RevisionResult is the result of set and delete.
type RevisionResult struct {
	Revision int64
}

// SetOutcome is what became of one pair of set_many: a revision, or a refusal.
type SetOutcome struct {
	Revision int64
	Err      *Error
}

// SetManyResult is the result of set_many: one outcome per pair, in their order.
type SetManyResult struct {
	Outcomes []SetOutcome
}

// Ticket is the result of get: all fields of one ticket.
type Ticket struct {
	ID       int64
	Revision int64
	Fields   []Field
}

// GetManyResult is the result of get_many: one ticket per id, in their order; nil where there is none.
type GetManyResult struct {
	Tickets []*Ticket
}

// FlushResult is the result of flush, in tickets.
type FlushResult struct {
	Flushed int64
	Dead    int64
}

// StatusResult is the result of status.
type StatusResult struct {
	DaemonStatus
	SiteStatus
}

// DaemonStatus is the part of a status that concerns the whole daemon.
type DaemonStatus struct {
	Version          string
	UptimeMS         int64
	PID              int64
	ConnectionsOpen  int64
	ConnectionsLimit int64
}

// SiteStatus is the part of a status that concerns one site.
type SiteStatus struct {
	Site string
	// Strategy is event, interval or on_close.
	Strategy string
	// Dirty and Dead are numbers of tickets.
	Dirty, Dead int64
	// OldestDirtyMS is the age of the oldest change that waits, 0 where none does.
	OldestDirtyMS int64
	// The totals since the daemon started.
	FlushedRows, FlushStatements, FlushErrors int64
	Store, Sink                               Place
	// Warnings are things that somebody must act on.
	Warnings []string
}

// State says whether a place can be used.
type State string

// The states of a store or a sink.
const (
	StateUp     State = "up"
	StateDown   State = "down"
	StatePaused State = "paused"
)

// Place is the condition of a store or a sink.
type Place struct {
	State State
	// SinceMS is how long it has been in that state.
	SinceMS int64
	// Reason says why, for people; empty where the place is up.
	Reason string
}
