package spool

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// acknowledged is when a file's client told its caller that the change is made: the time in the file's name, unless that is an
// earlier change's, which a clock that was set back has not reached yet. The file was written before then.
func acknowledged(name string, written time.Time) time.Time {
	micros, _ := strconv.ParseInt(name[:stampDigits], 10, 64) // digits, as checked
	if named := time.UnixMicro(micros); written.After(named) {
		return named
	}
	return written
}

// taken says that a create's id is another ticket's.
func taken(err error) bool { return errors.Is(err, &protocol.Error{Code: protocol.CodeExists}) }

// createElsewhere makes a ticket under the next id, as the id that its client received belongs to another ticket. It may be
// repeated.
func (f *origin) createElsewhere(ctx context.Context, c *create) error {
	p := c.CreateParams
	p.ID, p.Remember, p.Accepted, p.Ack, p.RequestID = 0, 0, time.Time{}, protocol.AckRedis, c.RequestID+"#taken"
	made, err := f.site.Create(ctx, &p)
	if err != nil {
		return err
	}
	if f.in.moved == nil {
		f.in.moved = map[int64]int64{}
	}
	f.in.moved[c.ID] = made.ID
	f.spool.opts.Log.Error().Int64("ticket", c.ID).Int64("new_id", made.ID).Msg("a create was left in the spool under an id that " +
		"belongs to another ticket: the new ticket got new_id; pass that on to whoever received the old id")
	if f.spool.opts.OnMoved != nil {
		f.spool.opts.OnMoved(f.site, c.ID, made.ID)
	}
	return nil
}
