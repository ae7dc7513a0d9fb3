package protocol

import "time"

// Params are the parameters of one method. The types of this package are the only ones that implement it.
type Params interface {
	// Decode reads the parameters from a request and checks everything that can be checked without knowing the site. The
	// error is an *[Error] with the code invalid; the receiver is then in no defined state.
	Decode(raw Raw) error
	// Wants returns whose tickets the request is about.
	Wants() *Target
	// Waits returns for how long the client waits for the reply, [DefaultTimeout] where it does not say.
	Waits() time.Duration
	encode(e *Encoder)
}

// Target says whose tickets a request is about. All methods have it.
type Target struct {
	// Site names the site; empty where the peer may use exactly one, or Table says which.
	Site string
	// Table is what the client calls the table that its tickets are in, "database.table"; empty where it does not say.
	Table string
}

// Wants implements [Params].
func (t *Target) Wants() *Target { return t }

// Timed is the parameter that all methods but flush share.
type Timed struct {
	// Timeout is for how long the client waits for the reply, in whole milliseconds up to [MaxTimeout]; 0 where it does not say. A
	// client sets it from its context, see [Client].
	Timeout time.Duration
}

// Waits implements [Params].
func (t *Timed) Waits() time.Duration {
	if t.Timeout == 0 {
		return DefaultTimeout
	}
	return t.Timeout
}

func (t *Timed) wait(timeout time.Duration) {
	if t.Timeout == 0 {
		t.Timeout = min(max(timeout, time.Millisecond), MaxTimeout)
	}
}

// Ack names the place that must have a change before it is acknowledged.
type Ack string

// The places of SPEC.md section 5. Empty stands for what the site's configuration says.
const (
	AckRedis   Ack = "redis"
	AckJournal Ack = "journal"
)

// SiteParams are the parameters of ping and status.
type SiteParams struct {
	Target
	Timed
}

// Change are the parameters that create, set, set_many and delete share.
type Change struct {
	Target
	Timed
	// RequestID makes the request repeatable where it is not empty.
	RequestID string
	// Remember is for how long RequestID is remembered, in whole seconds up to [MaxRemember]; 0 is a day.
	Remember time.Duration
	// Ack is empty where the site decides.
	Ack Ack
	// Identity is that of the table for which the change is meant; empty if the client did not know it. Clients write it into the
	// spool, where set_many does not stand.
	Identity string
}

// CreateParams are the parameters of create.
type CreateParams struct {
	Change
	// ID is one that the client has taken from the site's sequence itself; 0 leaves it to the daemon.
	ID     int64
	Fields Fields
	// Accepted is when a client acknowledged the create itself, as it left it in the spool; zero: it comes from a connection. It is
	// no parameter of the wire.
	Accepted time.Time
}

// SetParams are the parameters of set.
type SetParams struct {
	Change
	ID     int64
	Fields Fields
	// IfRevision refuses the change unless the ticket is at this revision; 0 asks for nothing.
	IfRevision int64
	// MustExist refuses the change unless there is the ticket.
	MustExist bool
	// Named is the id that the client named, where the ticket has got another one since: the request is known by it. It is no
	// parameter of the wire.
	Named int64
	// Accepted is as in CreateParams.
	Accepted time.Time
}

// TicketFields are the fields to set in one ticket.
type TicketFields struct {
	ID     int64
	Fields Fields
	// Err is set where this pair alone is refused before it reaches the site; Fields are then to be ignored. The
	// other pairs are to be made all the same.
	Err *Error
}

// SetManyParams are the parameters of set_many.
type SetManyParams struct {
	Change
	Tickets []TicketFields
	// MustExist refuses each pair unless there is its ticket.
	MustExist bool
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

// DeleteParams are the parameters of delete.
type DeleteParams struct {
	Change
	ID int64
	// Named and Accepted are as those of [SetParams].
	Named    int64
	Accepted time.Time
}

// FlushParams are the parameters of flush.
type FlushParams struct {
	Target
	// IDs are the tickets to flush where All is false; there may be none.
	IDs []int64
	// All asks for every dirty ticket: no ids were named.
	All bool
}

// AsChange returns what all changes share.
func (c *Change) AsChange() *Change { return c }

// Waits implements [Params]: a flush takes as long as it needs.
func (p *FlushParams) Waits() time.Duration { return MaxTimeout }
