// Package history is what the fault suite records and its checkers read: every operation's call, return or time-out, and
// every fault.
package history

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Kind is what a client asked for.
type Kind string

// The operations that are recorded.
const (
	Create Kind = "create"
	Set    Kind = "set"
	Get    Kind = "get"
	List   Kind = "list"
	Delete Kind = "delete"
	// Insert is a row that somebody puts into the table in SQL, past ticketd.
	Insert Kind = "insert"
	// Increment adds one to a counter: a set of [Counted], on the condition that the ticket's revision is still the one under which
	// the former number was read. The first one of a counter has no condition, and sets it to zero.
	Increment Kind = "increment"
)

// Outcome is what the client knows about its operation when it is over.
type Outcome string

const (
	// Done was acknowledged: a change is made, a read has its answer.
	Done Outcome = "done"
	// Refused was certainly not made, and never will be.
	Refused Outcome = "refused"
	// Unknown may have been made, may be made later, once, or never: a time-out, a lost connection, a spooled change
	// whose writer was killed.
	Unknown Outcome = "unknown"
)

// Spooled is the code of a change that is Done by having been left in its host's spool: it has no revision yet, and is made when
// that host's daemon ingests it, before any request that the daemon works on later.
const Spooled = "spooled"

// Unanswered begins the code of a PHP page that gave no answer: it hung, or ended in an unknown error.
const Unanswered = "page: "

// Fields are the names of the fields that the workload writes, and that are recorded where they are read. Every value but NULL
// is written once in a run.
var Fields = []string{"subject", "status", "category", "priority", "assigned_to", "extra_a"}

// Counted is the field of a counter that holds its number. What else is changed of such a ticket is not recorded.
const Counted = "assigned_to"

// Value is a field's value as text; nil is NULL.
type Value = *string

// Op is one operation of one client. A client is sequential: its next call is after this one's return.
type Op struct {
	Client  int              `json:"client"`
	Host    int              `json:"host"` // which daemon (and which spool) was asked
	Via     string           `json:"via"`  // go or php
	Kind    Kind             `json:"kind"`
	Ticket  int64            `json:"ticket,omitempty"` // 0: a create that was not answered, or a list
	Request string           `json:"request,omitempty"`
	Fields  map[string]Value `json:"fields,omitempty"`  // sent by a change, read by a get
	Tickets []Read           `json:"tickets,omitempty"` // read by a list
	// Revision is the one that was acknowledged, or read; 0 where there was none (a spooled change).
	Revision int64 `json:"revision,omitempty"`
	// Missing says that a get was answered with "no such ticket".
	Missing bool `json:"missing,omitempty"`
	// Stale says that the daemon marked the answer as possibly old.
	Stale bool `json:"stale,omitempty"`
	// Created is when the ticket was made, as the answer to a get says, since the start of the run; 0 where that is not recorded.
	Created time.Duration `json:"created,omitempty"`
	// IfRevision is the revision that an increment requires; 0 makes the counter.
	IfRevision int64 `json:"if_revision,omitempty"`
	// Ack is the place that must have a change before it is acknowledged; empty where the daemon decides.
	Ack string `json:"ack,omitempty"`
	// MustExist says that a set asked to be refused where there is no such ticket.
	MustExist bool `json:"must_exist,omitempty"`
	// Named is the id that a create asked for. Ticket is then the same, or 0 where the create lies in the spool: if the id is taken
	// there, the ticket gets another one, and the log names both.
	Named int64 `json:"named,omitempty"`
	// Reused says that Request was used before for something else.
	Reused bool `json:"reused,omitempty"`
	// Auto says that an insert left its id to the table's AUTO_INCREMENT.
	Auto bool `json:"auto,omitempty"`
	// Tries is how often a change was sent, under one request id, until its outcome was known; 0 and 1 are once.
	Tries   int           `json:"tries,omitempty"`
	Outcome Outcome       `json:"outcome"`
	Code    string        `json:"code,omitempty"` // of the error; or Spooled
	Call    time.Duration `json:"call"`           // since the start of the run, by one monotonic clock
	Return  time.Duration `json:"return"`
}

// Read is one ticket of a list's answer.
type Read struct {
	Ticket   int64            `json:"ticket"`
	Revision int64            `json:"revision"`
	Fields   map[string]Value `json:"fields"`
}

// Fault is what the nemesis did, to whom and for how long.
type Fault struct {
	Kind   string        `json:"kind"`
	Target string        `json:"target"`
	From   time.Duration `json:"from"`
	To     time.Duration `json:"to"`
	// Ticket is the only ticket that the fault concerns; 0 where it concerns all.
	Ticket int64 `json:"ticket,omitempty"`
}

// Row is a ticket as it lies in a place at the end: a row of the table, or a dead letter.
type Row struct {
	Ticket   int64            `json:"ticket"`
	Revision int64            `json:"revision"`
	Deleted  bool             `json:"deleted,omitempty"`
	Fields   map[string]Value `json:"fields"`
}

// Final is the state after the last fault was healed and everything was flushed.
type Final struct {
	Rows  []Row `json:"rows"`
	Dead  []Row `json:"dead"`
	Dirty int   `json:"dirty"` // tickets that a store still holds as changed
	// Aside are the changes in the spools' bad/ that are older than their ticket's create.
	Aside []Aside `json:"aside,omitempty"`
}

// Aside is a change that was acknowledged, and was set aside as it is older than the create of the ticket that has its id.
type Aside struct {
	Host    int              `json:"host"`
	Kind    Kind             `json:"kind"`
	Ticket  int64            `json:"ticket"`
	Request string           `json:"request"` // the client's, or one that a daemon made up
	Fields  map[string]Value `json:"fields,omitempty"`
}

// History is one run.
type History struct {
	Seed int64 `json:"seed"`
	// Topology is one, three, sentinel, cluster or journal (without Redis).
	Topology string `json:"topology"`
	Hosts    int    `json:"hosts"`
	// Early says that changes are acknowledged by their host's journal (ack = "journal"): other hosts read them later.
	Early bool `json:"early,omitempty"`
	// Defaults are the values of fields that nobody set; without any, those of ticketd's own table.
	Defaults map[string]Value `json:"defaults,omitempty"`
	// Refuses begins the values of category that MySQL refuses, and ticketd does not know it; empty where there are none.
	Refuses string `json:"refuses,omitempty"`
	// Unplanned counts fail-overs of masters that no fault had killed: on a busy machine a running master is taken for dead. They
	// are judged as the others are, as a living daemon brings back what they lose.
	Unplanned int     `json:"unplanned,omitempty"`
	Ops       []Op    `json:"-"`
	Faults    []Fault `json:"faults"`
	Final     Final   `json:"final"`
	// Moved are the tickets that got another id after their create was acknowledged, as the daemons' logs say.
	Moved []Moved `json:"moved,omitempty"`
	// Places are tables that are not this site's, and what daemons did to them that held the site's keys, journal or spool.
	Places []Place `json:"places,omitempty"`
}

// Moved is a ticket whose id was somebody else's when its create arrived.
type Moved struct {
	From int64 `json:"from"`
	To   int64 `json:"to"`
}

// Place is a table that does not belong to a history's site. Nothing of the site may arrive there, and who asks a daemon that
// stands before it must not be answered.
type Place struct {
	Name string `json:"name"`
	// Configured says that the daemons were configured for this table, but had the site's journal and spool: where nothing of the
	// site waits there they may serve the table.
	Configured bool  `json:"configured,omitempty"`
	Ops        []Op  `json:"ops"`
	Before     []Row `json:"before"` // the table's rows before the first such daemon started
	After      []Row `json:"after"`  // and after the last one ended
}

// Violation is one thing that must not be in a history, with the operations that show it.
type Violation struct {
	Rule   string
	Ticket int64
	Text   string
	Ops    []Op
}

// Write writes h as lines of JSON: the run, then one operation each.
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

// Parse reads what [Write] has written.
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
