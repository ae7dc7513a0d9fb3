package protocol

import "time"

// Params are the parameters of a method. Only the types of this package implement Params.
type Params interface {
	// Decode reads the parameters from a request and makes every check that needs no knowledge of the site. The error is an
	// *[Error] with the code invalid; the receiver is then in no defined state.
	Decode(raw Raw) error
	// Wants returns the target of the request.
	Wants() *Target
	// Waits returns how long the client waits for the reply, [DefaultTimeout] by default.
	Waits() time.Duration
	encode(e *Encoder)
}

// Target says which site's tickets a request is about. All methods have a Target.
type Target struct {
	// Site names the site; empty if the peer may use exactly one site, or if Table identifies the site.
	Site string
	// Table is the client's name for the table of its tickets, "database.table"; empty if not sent.
	Table string
}

// Wants implements [Params].
func (t *Target) Wants() *Target { return t }

// Timed is the parameter that all methods but flush share.
type Timed struct {
	// Timeout is how long the client waits for the reply, in whole milliseconds up to [MaxTimeout]; 0 if not sent. [Client]
	// takes Timeout from the context.
	Timeout time.Duration
}

// Waits implements [Params].
func (t *Timed) Waits() time.Duration {
	if t.Timeout == 0 {
		return DefaultTimeout
	}
	return t.Timeout
}

// Ack names the place that must have a change before the daemon acknowledges the change.
type Ack string

// The places of SPEC.md section 5. Empty means the setting of the site.
const (
	AckRedis   Ack = "redis"
	AckJournal Ack = "journal"
)

// SiteParams are the parameters of ping, status and describe.
type SiteParams struct {
	Target
	Timed
}

// Change are the parameters that create, set, set_many and delete share.
type Change struct {
	Target
	Timed
	// RequestID makes the request repeatable unless empty.
	RequestID string
	// Remember is for how long RequestID is remembered, in whole seconds up to [MaxRemember]; 0 is a day.
	Remember time.Duration
	// Ack is empty where the site decides.
	Ack Ack
	// By names who makes the change, for the site's feed and history: "user:3"; Via the part of the client that makes the change:
	// "wp-admin". Each is printable ASCII, of at most [MaxBy] and [MaxVia] bytes; empty if the client does not say.
	By, Via string
	// Identity is the identity of the table for which the change is meant; empty if unknown to the client. Clients write
	// Identity into the spool, which has no set_many.
	Identity string
}

// CreateParams are the parameters of create.
type CreateParams struct {
	Change
	// ID is an id that the client took from the site's sequence; with 0 the daemon chooses.
	ID     int64
	Fields Fields
	// Accepted is when the client acknowledged the create itself and left the create in the spool; zero for a create from a
	// connection. Accepted is not on the wire.
	Accepted time.Time
}

// SetParams are the parameters of set.
type SetParams struct {
	Change
	ID     int64
	Fields Fields
	// IfRevision refuses the change unless the ticket is at this revision; 0 means no condition.
	IfRevision int64
	// MustExist refuses the change unless the ticket exists.
	MustExist bool
	// Named is the id in the client's request if the ticket has got a different id since; the request is remembered under Named.
	// Named is not on the wire.
	Named int64
	// Accepted is as in CreateParams.
	Accepted time.Time
}

// TicketFields are the fields to set in a ticket.
type TicketFields struct {
	ID     int64
	Fields Fields
	// Err is set if this pair is refused before reaching the site; ignore Fields then. The other pairs are still applied.
	Err *Error
}

// SetManyParams are the parameters of set_many.
type SetManyParams struct {
	Change
	Tickets []TicketFields
	// MustExist refuses each pair whose ticket does not exist.
	MustExist bool
}

// CheckEntry is a change to be judged: the set of a ticket, or a create.
type CheckEntry struct {
	// ID is the ticket of a set; 0 means a create.
	ID     int64
	Fields Fields
	// RequestID is the request id under which the create is going to be sent; empty if none is.
	RequestID string
	// Err is set if this entry is refused before reaching the site; ignore Fields then.
	Err *Error
}

// CheckParams are the parameters of check.
type CheckParams struct {
	Target
	Timed
	Entries []CheckEntry
}

// GetParams are the parameters of get.
type GetParams struct {
	Target
	Timed
	ID int64
}

// GetManyParams are the parameters of get_many.
type GetManyParams struct {
	Target
	Timed
	IDs []int64
}

// WaitingParams are the parameters of waiting.
type WaitingParams struct{ GetManyParams }

// DeleteParams are the parameters of delete.
type DeleteParams struct {
	Change
	ID int64
	// Named and Accepted are as in [SetParams].
	Named    int64
	Accepted time.Time
}

// FlushParams are the parameters of flush.
type FlushParams struct {
	Target
	// IDs are the tickets to flush if All is false; IDs may be empty.
	IDs []int64
	// All asks for every dirty ticket: no ids were named.
	All bool
}

// AsChange returns the parameters that all changes share.
func (c *Change) AsChange() *Change { return c }

// Waits implements [Params]: a flush takes as long as needed.
func (p *FlushParams) Waits() time.Duration { return MaxTimeout }
