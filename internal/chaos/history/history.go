// Package history is the record that the fault suite writes and the checkers read: every operation's call, return or
// time-out, and every fault.
package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Kind is the kind of an operation.
type Kind string

// The operations that are recorded.
const (
	Create Kind = "create"
	Set    Kind = "set"
	Get    Kind = "get"
	List   Kind = "list"
	Delete Kind = "delete"
	// Insert is an INSERT of a row into the table in SQL, not through ticketd.
	Insert Kind = "insert"
	// Increment raises a counter by one: a set of [Counted], on condition that the ticket still has the revision of the read.
	// The first increment of a counter has no condition and sets the counter to zero.
	Increment Kind = "increment"
)

// Outcome is the client's knowledge after its operation.
type Outcome string

const (
	// Done is acknowledged: a change is made, a read has an answer.
	Done Outcome = "done"
	// Refused was certainly not made, and never will be.
	Refused Outcome = "refused"
	// Unknown may have been made, may be made later, once, or never: a time-out, a lost connection, a spooled change with a
	// killed writer.
	Unknown Outcome = "unknown"
)

// Spooled is the code of a change that is Done because the client left the change in the host's spool: the change has no
// revision yet, and is made when the host's daemon ingests the spool, before any later request.
const Spooled = "spooled"

// Unanswered begins the code of a PHP page without an answer: the page hung, or ended in an unknown error.
const Unanswered = "page: "

// Fields are the names of the fields that the workload writes and whose reads are recorded. Every value except NULL is
// written once in a run.
var Fields = []string{"subject", "status", "category", "priority", "assigned_to", "extra_a"}

// Counted is the field with a counter's number. Changes of a counter's other fields are not recorded.
const Counted = "assigned_to"

// Value is a field's value as text; nil is NULL.
type Value = *string

// Op is an operation of a client. A client is sequential: the next call follows the return.
type Op struct {
	Client  int              `json:"client"`
	Host    int              `json:"host"` // which daemon (and which spool) was asked
	Via     string           `json:"via"`  // go or php
	Kind    Kind             `json:"kind"`
	Ticket  int64            `json:"ticket,omitempty"` // 0: a create that was not answered, or a list
	Request string           `json:"request,omitempty"`
	Fields  map[string]Value `json:"fields,omitempty"`  // sent by a change, read by a get
	Tickets []Read           `json:"tickets,omitempty"` // read by a list
	// Revision is the acknowledged or read revision; 0 if unknown (a spooled change).
	Revision int64 `json:"revision,omitempty"`
	// Missing says that a get was answered with "no such ticket".
	Missing bool `json:"missing,omitempty"`
	// Stale says that the daemon marked the answer as possibly old.
	Stale bool `json:"stale,omitempty"`
	// Created is when the ticket was made, as the answer to a get says, since the start of the run; 0 where that is not recorded.
	Created time.Duration `json:"created,omitempty"`
	// IfRevision is the revision that an increment requires; 0 makes the counter.
	IfRevision int64 `json:"if_revision,omitempty"`
	// Ack is the place that must have a change before the acknowledgement; empty if the daemon decides.
	Ack string `json:"ack,omitempty"`
	// MustExist marks a set that must be refused if the ticket does not exist.
	MustExist bool `json:"must_exist,omitempty"`
	// Named is the id that a create asked for. Ticket is then the same, or 0 for a create in the spool: if the id is taken, the
	// ticket gets a different id, and the log names both ids.
	Named int64 `json:"named,omitempty"`
	// Reused says that Request was used earlier for a different request.
	Reused bool `json:"reused,omitempty"`
	// Auto says that an insert got its id from the table's AUTO_INCREMENT.
	Auto bool `json:"auto,omitempty"`
	// Tries is how often a change was sent under the same request id until the outcome was known; 0 and 1 mean once.
	Tries   int           `json:"tries,omitempty"`
	Outcome Outcome       `json:"outcome"`
	Code    string        `json:"code,omitempty"` // of the error; or Spooled
	Call    time.Duration `json:"call"`           // since the start of the run, by a monotonic clock
	Return  time.Duration `json:"return"`
}

// Read is a ticket in the answer to a list.
type Read struct {
	Ticket   int64            `json:"ticket"`
	Revision int64            `json:"revision"`
	Fields   map[string]Value `json:"fields"`
}

// Fault is an action of the nemesis with target and duration.
type Fault struct {
	Kind   string        `json:"kind"`
	Target string        `json:"target"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
	// Ticket is the only ticket that the fault concerns; 0 for all.
	Ticket int64 `json:"ticket,omitempty"`
}

// Row is the final state of a ticket in a place: a row of the table, or a dead letter.
type Row struct {
	Ticket   int64            `json:"ticket"`
	Revision int64            `json:"revision"`
	Deleted  bool             `json:"deleted,omitempty"`
	Fields   map[string]Value `json:"fields"`
}

// Final is the state after the last fault was healed and all changes were flushed.
type Final struct {
	Rows  []Row `json:"rows"`
	Dead  []Row `json:"dead"`
	Dirty int   `json:"dirty"` // tickets that a store still holds as changed
	// Aside are the changes in the spools' bad/ that are older than the ticket's create.
	Aside []Aside `json:"aside,omitempty"`
}

// Aside is an acknowledged change that was set aside because the create of the ticket with the same id is newer.
type Aside struct {
	Host    int              `json:"host"`
	Kind    Kind             `json:"kind"`
	Ticket  int64            `json:"ticket"`
	Request string           `json:"request"` // the client's, or made up by a daemon
	Fields  map[string]Value `json:"fields,omitempty"`
}

// History is a run.
type History struct {
	Seed int64 `json:"seed"`
	// Topology is one, three, sentinel, cluster or journal (without Redis).
	Topology string `json:"topology"`
	Hosts    int    `json:"hosts"`
	// Early says that the host's journal acknowledges changes (ack = "journal"): other hosts read the changes later.
	Early bool `json:"early,omitempty"`
	// Defaults are the values of unset fields; empty means the defaults of ticketd's own table.
	Defaults map[string]Value `json:"defaults,omitempty"`
	// Refuses begins the values of category that MySQL refuses without ticketd knowing; empty if no values are refused.
	Refuses string `json:"refuses,omitempty"`
	// Unplanned counts fail-overs of masters without a fault: on a busy machine a running master is taken for dead. The rules
	// apply all the same, because a living daemon restores the lost writes.
	Unplanned int     `json:"unplanned,omitempty"`
	Ops       []Op    `json:"-"`
	Faults    []Fault `json:"faults"`
	Final     Final   `json:"final"`
	// Feed is nil where the site's feed was not recorded.
	Feed *Feed `json:"feed,omitempty"`
	// Moved are the tickets that got a different id after the acknowledged create, according to the daemons' logs.
	Moved []Moved `json:"moved,omitempty"`
	// Places are tables of other sites, with the actions of daemons that held the site's keys, journal or spool.
	Places []Place `json:"places,omitempty"`
}

// Moved is a ticket whose id had another owner when the create arrived.
type Moved struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Place is a table that does not belong to the history's site. No change of the site may arrive in the table, and a daemon
// before the table must not answer requests.
type Place struct {
	Name string `json:"name"`
	// Configured says that the daemons were configured for this table, but had the site's journal and spool: if neither holds
	// pending changes of the site, the daemons may serve the table.
	Configured bool  `json:"configured,omitempty"`
	Ops        []Op  `json:"ops"`
	Before     []Row `json:"before"` // the table's rows before the first such daemon started
	After      []Row `json:"after"`  // and after the last such daemon ended
}

// Violation is a broken rule with the operations that show the violation.
type Violation struct {
	Rule   string
	Ticket int64
	Text   string
	Ops    []Op
}

// Write writes h as lines of JSON: first the run, then an operation a line.
func Write(w io.Writer, h *History) error {
	out := bufio.NewWriter(w)
	enc := json.NewEncoder(out)
	if err := enc.Encode(h); err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	for i := range h.Ops {
		if err := enc.Encode(&h.Ops[i]); err != nil {
			return fmt.Errorf("write history: operation %d: %w", i, err)
		}
	}
	return out.Flush()
}

// Parse reads the output of [Write].
func Parse(r io.Reader) (*History, error) {
	dec := json.NewDecoder(r)
	h := &History{}
	if err := dec.Decode(h); err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	for dec.More() {
		var op Op
		if err := dec.Decode(&op); err != nil {
			return nil, fmt.Errorf("read history: operation %d: %w", len(h.Ops), err)
		}
		h.Ops = append(h.Ops, op)
	}
	return h, nil
}
