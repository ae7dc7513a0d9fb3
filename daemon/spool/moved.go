package spool

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/protocol"
)

// moves are, for each site, the ids of creates that turned out to be other tickets', and the ids that the creates have got. Files
// behind such a create mean its ticket.
type moves map[daemon.Site]map[int64]int64

// id is the id of the ticket that a file means.
func (m moves) id(site daemon.Site, id int64) int64 {
	if to, moved := m[site][id]; moved {
		return to
	}
	return id
}

// acknowledged is the time in a file's name: when its client told its caller that the change is made.
func acknowledged(name string) time.Time {
	micros, _ := strconv.ParseInt(name[:stampDigits], 10, 64) // digits, as checked
	return time.UnixMicro(micros)
}

// taken says that a create's id is another ticket's.
func taken(err error) bool { return errors.Is(err, &protocol.Error{Code: protocol.CodeExists}) }

// createElsewhere makes a ticket under the next id, as the one that its client was told is another ticket's. It may be repeated.
func (s *Spool) createElsewhere(ctx context.Context, site daemon.Site, c *create) error {
	p := c.CreateParams
	p.ID, p.Remember, p.Accepted, p.Ack, p.RequestID = 0, 0, time.Time{}, protocol.AckRedis, c.RequestID+"#taken"
	made, err := site.Create(ctx, &p)
	if err != nil {
		return err
	}
	if s.moved[site] == nil {
		s.moved[site] = map[int64]int64{}
	}
	s.moved[site][c.ID] = made.ID
	s.opts.Log.Error().Int64("ticket", c.ID).Int64("new_id", made.ID).Msg("a ticket was created while the daemon was away, under an id " +
		"that is another ticket's: it has a new id; tell who was told the old one")
	if s.opts.OnMoved != nil {
		s.opts.OnMoved(site, c.ID, made.ID)
	}
	return nil
}
