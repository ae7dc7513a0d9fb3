package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// change is what one file asks for. Its request id is remembered for a day, whatever the call asked for: after a long downtime
// the daemon may ingest the file again. Where Redis answers, Redis acknowledges the change: it may repeat a request that only
// Redis remembers.
type change interface {
	protocol.Params
	// check refuses what only a connection may ask for.
	check() error
	// ticket is the id of the ticket that it names.
	ticket() int64
	apply(ctx context.Context, f *origin) error
	// meets says that it changes a ticket that exists, or none: no create can be given its id.
	meets() bool
}

// needs says whether a request must not be done before older changes of a ticket: a change of it must not overtake them, a create
// may get any id, and a flush says that all are in MySQL.
func needs(p protocol.Params, ticket int64) bool {
	switch p := p.(type) {
	case *protocol.CreateParams, *protocol.FlushParams:
		return true
	case *protocol.SetParams:
		return p.ID == ticket
	case *protocol.DeleteParams:
		return p.ID == ticket
	case *protocol.SetManyParams:
		return slices.ContainsFunc(p.Tickets, func(t protocol.TicketFields) bool { return t.ID == ticket })
	default:
		return false
	}
}

// needsOlder says whether a request needs any older changes.
func needsOlder(p protocol.Params) bool {
	switch p.(type) {
	case *protocol.CreateParams, *protocol.FlushParams, *protocol.SetParams, *protocol.DeleteParams, *protocol.SetManyParams:
		return true
	default:
		return false
	}
}

// origin is what a change needs to know of the file that it comes from.
type origin struct {
	spool *Spool
	site  daemon.Site
	in    *intake
	at    time.Time // see acknowledged
	// upTo is when the change was acknowledged that is the newest of those that wait with it.
	upTo time.Time
	// meant says that an operator has moved the file back from bad/, where it was set aside as older than its ticket.
	meant bool
}

// accepted is [protocol.SetParams].Accepted. A change that follows a create to another id is of the ticket that has that id.
func (f *origin) accepted(follows bool) time.Time {
	if follows || f.meant {
		return time.UnixMicro(int64(store.Unreceived))
	}
	return f.at
}

// parse reads the one frame of a file. The error is a *[protocol.Error].
func parse(content []byte) (change, error) {
	r := bytes.NewReader(content)
	payload, err := protocol.ReadFrame(r, nil)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, protocol.Errorf(protocol.CodeMalformed, "it ends before its frame does")
	case err != nil:
		return nil, err
	case r.Len() != 0:
		return nil, protocol.Errorf(protocol.CodeMalformed, "something follows its frame")
	}
	req, err := protocol.DecodeRequest(payload)
	if err != nil {
		return nil, err
	}
	var c change
	switch req.Method {
	case protocol.MethodCreate:
		c = &create{}
	case protocol.MethodSet:
		c = &set{}
	case protocol.MethodDelete:
		c = &remove{}
	default:
		return nil, protocol.Errorf(protocol.CodeUnknownMethod, "only create, set and delete are ingested from the spool")
	}
	if err := c.Decode(req.Params); err != nil {
		return nil, err
	}
	return c, c.check()
}

func checkRequestID(requestID string) error {
	if requestID == "" {
		return protocol.Invalid("request_id", "it is missing: without it the change could be made twice")
	}
	return nil
}

type create struct{ protocol.CreateParams }

func (c *create) ticket() int64 { return c.ID }

func (c *create) check() error {
	if c.ID == 0 {
		return protocol.Invalid("id", "it is missing: the writer of the file gave its caller an id")
	}
	return checkRequestID(c.RequestID)
}

// apply makes the ticket under the id that the client's caller received. Where the same request had reached the daemon before,
// there is a ticket under another id already. If the request id was made up for this one call (it is remembered for less than a
// day then), only that call's reply was lost, and no caller received that ticket's id: the ticket is removed, unless another
// client has changed it since. A request id that a caller has chosen may be that of an earlier call, whose caller received the
// id: that ticket stays. All of it may be repeated.
func (c *create) apply(ctx context.Context, f *origin) error {
	made, err := c.make(ctx, f, c.RequestID)
	if err != nil || made.ID == c.ID || made.ID == f.movedTo(c.ID) {
		return err
	}
	if _, err := c.make(ctx, f, c.RequestID+"#"+strconv.FormatInt(c.ID, 10)); err != nil || c.Remember == 0 {
		return err
	}
	nobodys, err := f.site.Get(ctx, &protocol.GetParams{ID: made.ID})
	if err == nil && nobodys.Stale {
		return protocol.Errorf(protocol.CodeUnavailable, "whether another client has changed ticket %d, whose id no client received, "+
			"is not known while a place does not answer", made.ID)
	}
	if err == nil && nobodys.Revision == made.Revision {
		_, err = f.site.Delete(ctx, &protocol.DeleteParams{Change: protocol.Change{Ack: protocol.AckRedis}, ID: made.ID})
	}
	if errors.Is(err, &protocol.Error{Code: protocol.CodeNotFound}) {
		return nil
	}
	return err
}

func (c *create) meets() bool { return false }

type set struct{ protocol.SetParams }

func (c *set) meets() bool { return c.MustExist }

func (c *set) ticket() int64 { return c.ID }

func (c *set) check() error {
	if c.IfRevision != 0 {
		return protocol.Invalid("if_revision", "a condition cannot be decided later, when nobody hears of it")
	}
	return checkRequestID(c.RequestID)
}

func (c *set) apply(ctx context.Context, f *origin) error {
	p := c.SetParams
	id, done := f.in.moves.Use(ticket.ID(c.ID), f.at)
	defer done()
	p.Remember, p.Ack, p.ID, p.Named, p.Accepted = 0, protocol.AckRedis, int64(id), c.ID, f.accepted(int64(id) != c.ID)
	_, err := f.site.Set(ctx, &p)
	return err
}

type remove struct{ protocol.DeleteParams }

func (c *remove) meets() bool { return false }

func (c *remove) ticket() int64 { return c.ID }

func (c *remove) check() error { return checkRequestID(c.RequestID) }

func (c *remove) apply(ctx context.Context, f *origin) error {
	p := c.DeleteParams
	id, done := f.in.moves.Use(ticket.ID(c.ID), f.at)
	defer done()
	p.Remember, p.Ack, p.ID, p.Named, p.Accepted = 0, protocol.AckRedis, int64(id), c.ID, f.accepted(int64(id) != c.ID)
	_, err := f.site.Delete(ctx, &p)
	return err
}
