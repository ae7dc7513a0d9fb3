package spool

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/store"
)

// acknowledged is when a file's client told its caller that the change is made: the time in the file's name, unless that is an
// earlier change's, which a clock that was set back has not reached yet. The file was written before then.
func acknowledged(name string, written time.Time) time.Time {
	if named := timeOf(name); written.After(named) {
		return named
	}
	return written
}

// timeOf is the time in a file's name.
func timeOf(name string) time.Time {
	micros, _ := strconv.ParseInt(name[:stampDigits], 10, 64) // digits, as checked
	return time.UnixMicro(micros)
}

// taken says that a create's id is another ticket's.
func taken(err error) bool { return errors.Is(err, &protocol.Error{Code: protocol.CodeExists}) }

// make makes the ticket under the id that its client received or, where that belongs to another ticket, under the next one. The
// request id stays the create's, so that a repetition of the request returns the ticket that it has made. make may be repeated:
// that the create gets another id is on disk before it gets one, and which one before its file is removed.
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
		"belongs to another ticket: the new ticket got new_id; pass that on to whoever received the old id")
	at := f.spool.opts.Now()
	if f.upTo.After(at) { // the clock has been set back, and what waits with the create was named before
		at = f.upTo
	}
	if err := f.in.moves.Keep(moves.Move{Create: this, To: ticket.ID(made.ID), At: at}); err != nil {
		return made, unkept(err)
	}
	return made, nil
}

// movedTo is the id that a create of the file's time has got instead of one.
func (f *origin) movedTo(id int64) int64 {
	to, done := f.in.moves.Use(ticket.ID(id), f.at)
	done()
	return int64(to)
}

// unkept holds the site's files: what the disk does not say would be another ticket's after a restart.
func unkept(err error) error { return protocol.Errorf(protocol.CodeUnavailable, "%s", err) }
