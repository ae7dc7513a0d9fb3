package spool

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// change is the request in a file. The site remembers its request id for a day, whatever the call asked for: after a long
// downtime the daemon may ingest the file again. While Redis is reachable, Redis must acknowledge the change: the file may
// repeat a request that only Redis remembers.
type change interface {
	protocol.Params
	// check refuses parameters that only a connection may use.
	check() error
	// ticket is the id in the request.
	ticket() int64
	apply(ctx context.Context, f *origin) error
	// meets: the change never makes a ticket, so no create can collide with its id.
	meets() bool
}

// origin is the file of a change, and its surroundings.
type origin struct {
	spool *Spool
	site  daemon.Site
	in    *intake
	at    time.Time // see [acknowledged]
	// upTo is the newest time of acknowledgement among the files that wait together with the file.
	upTo time.Time
	// meant: an operator has moved the file back from bad/, where the file was as older than its ticket.
	meant bool
}

// accepted is [protocol.SetParams].Accepted. A change that follows a create to another id belongs to the ticket with that id.
func (f *origin) accepted(follows bool) time.Time {
	if follows || f.meant {
		return time.UnixMicro(int64(store.Unreceived))
	}
	return f.at
}

// parse reads the frame of a file. The error is a *[protocol.Error].
func parse(content []byte) (change, error) {
	r := bytes.NewReader(content)
	payload, err := protocol.ReadFrame(r, nil)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, protocol.Errorf(protocol.CodeMalformed, "the file ends before its frame")
	case err != nil:
		return nil, err
	case r.Len() != 0:
		return nil, protocol.Errorf(protocol.CodeMalformed, "bytes follow the frame")
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
		return protocol.Invalid("request_id", "missing: without a request id the change could be made twice")
	}
	return nil
}

type create struct{ protocol.CreateParams }

func (c *create) ticket() int64 { return c.ID }

func (c *create) check() error {
	if c.ID == 0 {
		return protocol.Invalid("id", "missing: the file must name the id that the caller received")
	}
	return checkRequestID(c.RequestID)
}

// apply makes the ticket under the id that the client's caller received. If the same request had reached the daemon before, a
// ticket under another id exists already. Whether that ticket stays depends on the request id:
//
//   - Made up for this call (Remember is set): only the call's reply was lost, and no caller received the other id. apply removes
//     the ticket, unless another client has changed the ticket since.
//   - Chosen by a caller: the id may be an earlier call's, whose caller received the other id. The ticket stays.
//
// apply may be repeated.
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
			"is unknown while Redis or MySQL is unreachable", made.ID)
	}
	if err == nil && nobodys.Revision == made.Revision {
		change := protocol.Change{Ack: protocol.AckRedis, By: c.By, Via: c.Via}
		_, err = f.site.Delete(ctx, &protocol.DeleteParams{Change: change, ID: made.ID})
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
		return protocol.Invalid("if_revision", "a condition cannot be decided later, without a caller to answer")
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

// taken: the create's id belongs to another ticket.
func taken(err error) bool { return errors.Is(err, &protocol.Error{Code: protocol.CodeExists}) }

// make makes the ticket under the id that its client received; if that id belongs to another ticket, under the next free id.
// The request id stays the create's, so a repeated request returns the ticket of the first. make may be repeated: the
// intention to use another id is on disk before the create, and the new id is on disk before the removal of the file.
func (c *create) make(ctx context.Context, f *origin, requestID string) (protocol.CreateResult, error) {
	p := c.CreateParams
	p.Remember, p.Ack, p.RequestID, p.Accepted = 0, protocol.AckRedis, requestID, f.at
	this := moves.Create{ID: ticket.ID(c.ID), Request: requestID, Since: f.at}
	switch to, begun := f.in.moves.Find(this); {
	case to != 0:
		return protocol.CreateResult{ID: int64(to)}, nil
	case !begun:
		made, err := f.site.Create(ctx, &p)
		if !taken(err) {
			return made, err
		}
		if err := f.in.moves.Begin(this); err != nil {
			return made, unkept(err)
		}
	}
	p.ID, p.Accepted = 0, time.UnixMicro(int64(store.Unreceived))
	made, err := f.site.Create(ctx, &p)
	if err != nil {
		return made, err
	}
	f.spool.opts.Log.Error().Int64("ticket", c.ID).Int64("new_id", made.ID).Msg("a create was left in the spool under an id that " +
		"belongs to another ticket: the new ticket got new_id; tell the receiver of the old id")
	at := f.spool.opts.Now()
	if f.upTo.After(at) { // the clock was set back after the names of these files
		at = f.upTo
	}
	if err := f.in.moves.Keep(moves.Move{Create: this, To: ticket.ID(made.ID), At: at}); err != nil {
		return made, unkept(err)
	}
	return made, nil
}

// movedTo returns the id that a create with the file's time got instead of the given id.
func (f *origin) movedTo(id int64) int64 {
	to, done := f.in.moves.Use(ticket.ID(id), f.at)
	done()
	return int64(to)
}

// unkept holds the site's files: after a restart, changes with an unrecorded move would go to another ticket.
func unkept(err error) error { return protocol.Errorf(protocol.CodeUnavailable, "%s", err) }
