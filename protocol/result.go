package protocol

// Result is the result of a method. Only the types of this package implement Result.
type Result interface {
	// Decode reads the result from a reply.
	Decode(raw Raw) error
	encode(e *Encoder)
}

// PingResult is the result of ping.
type PingResult struct {
	Version  string
	Protocol int
	// Features are what the daemon can do for the site beyond the first version of the protocol: see SPEC.md, ping.
	Features []string
}

// The features of [PingResult].
const (
	FeatureBy   = "by"   // changes have by and via
	FeatureFeed = "feed" // the site's feed is on: feed_read, feed_ack

	FeatureFeedStatus = "feed_status" // the site's feed is on: feed_status, feed_control, feed_dead_*
	FeatureErase      = "erase"       // the site's feed is on: erase_history
	FeatureHistory    = "history"     // the site keeps a history
)

// CreateResult is the result of create.
type CreateResult struct {
	ID       int64
	Revision int64
}

// RevisionResult is the result of set and delete.
type RevisionResult struct {
	Revision int64
}

// SetOutcome is the outcome of a pair of set_many: a revision, or a refusal.
type SetOutcome struct {
	Revision int64
	Err      *Error
}

// SetManyResult is the result of set_many: one outcome per pair, in the order of the pairs.
type SetManyResult struct {
	Outcomes []SetOutcome
}

// CheckOutcome is the judgement of an entry of check: what the change meets, or a refusal.
type CheckOutcome struct {
	// ID is the ticket that the change concerns: the entry's, or the ticket that a create under the entry's request id has made;
	// 0 for a create that makes a new ticket.
	ID int64
	// Revision is the ticket's; 0 if the ticket does not exist.
	Revision int64
	// Differs are the fields that the change would set to another value, in the entry's order: all of them if the ticket does not
	// exist, none for a create that repeats a request.
	Differs []string
	Err     *Error
}

// CheckResult is the result of check: one outcome per entry, in the order of the entries.
type CheckResult struct {
	Outcomes []CheckOutcome
}

// Ticket is the result of get: all fields of a ticket.
type Ticket struct {
	ID       int64
	Revision int64
	Fields   Fields
	// Stale says that Redis did not answer: changes pending in Redis may be missing.
	Stale bool
	// Cut says that the ticket is larger than a frame: the longest values are shortened, and fields may be missing. Only lists
	// have cut tickets.
	Cut bool
}

// MarkStale says that changes may be missing.
func (t *Ticket) MarkStale() { t.Stale = true }

// GetManyResult is the result of get_many: one ticket per id, in the order of the ids; nil for a ticket that does not exist.
type GetManyResult struct {
	Tickets []*Ticket
	// Stale means for the nil tickets the same as [Ticket.Stale].
	Stale bool
}

// MarkStale says that changes may be missing, in the whole and in each ticket.
func (r *GetManyResult) MarkStale() {
	r.Stale = true
	for _, t := range r.Tickets {
		if t != nil {
			t.MarkStale()
		}
	}
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
	Spool            SpoolStatus
}

// SpoolStatus counts the changes in the spool, which clients could not deliver; all zero without a spool.
type SpoolStatus struct {
	// Files and Bytes wait to be ingested, the oldest for OldestMS.
	Files, Bytes, OldestMS int64
	// Taken is the total of files since the daemon started.
	Taken int64
	// Bad is the number of files moved aside because they are unusable.
	Bad int64
}

// SiteStatus is the part of a status that concerns a single site.
type SiteStatus struct {
	Site string
	// Backend is where changes wait for MySQL.
	Backend Backend
	// Ack is the site's setting: the place that must have a change before the daemon acknowledges the change.
	Ack Ack
	// Strategy is event, interval or on_close.
	Strategy string
	// Dirty and Dead are numbers of tickets.
	Dirty, Dead int64
	// OldestDirtyMS is the age of the oldest pending change, 0 without pending changes.
	OldestDirtyMS int64
	// The totals since the daemon started.
	FlushedRows, FlushStatements, FlushErrors int64
	Store, Sink                               Place
	Journal                                   JournalStatus
	// Warnings are problems on which an operator must act.
	Warnings []string
}

// Backend names a kind of store.
type Backend string

// The stores.
const (
	BackendRedis   Backend = "redis"
	BackendJournal Backend = "journal"
)

// JournalStatus is the content of a site's journal; all zero without a journal.
type JournalStatus struct {
	// Entries and Bytes wait to be brought to the next place, the oldest for OldestMS.
	Entries, Bytes, OldestMS int64
	// Replayed is the total of entries replayed to the next place since the daemon started.
	Replayed int64
	// Requests counts the request ids that are remembered in the daemon's memory.
	Requests int64
	// Segments is the number of files.
	Segments int64
}

// State says whether a place can be used.
type State string

// The states of a store or a sink.
const (
	StateUnknown State = "unknown" // of a sink: no read and no write since the daemon's start
	StateUp      State = "up"
	StateDown    State = "down"
	StatePaused  State = "paused"
)

// Place is the condition of a store or a sink.
type Place struct {
	State State
	// SinceMS is how long the place has been in that state.
	SinceMS int64
	// Reason says why, for people; empty where the place is up.
	Reason string
}
