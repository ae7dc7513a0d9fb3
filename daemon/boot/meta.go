package boot

import (
	"context"
	"errors"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/postmeta"
)

// A site's tickets are in a table of their own, or in WordPress' meta tables. The interfaces below have an implementation for
// either kind.

// tickets is the part of MySQL that a site reads.
type tickets interface {
	site.Database
	Deleted(ctx context.Context, after ticket.ID) (ids []ticket.ID, upTo ticket.ID, more bool, err error)
}

// sink is the part of MySQL that the flusher writes.
type sink interface {
	flush.Sink
	Statements() int64
	Conflicts() int64
}

// allocator gives ids to new tickets.
type allocator interface {
	site.IDs
	Start(ctx context.Context)
	Stop(ctx context.Context) error
	Left() int
}

// metaOf returns the tables of a site with meta.
func metaOf(c *config.Site) postmeta.Config {
	m := postmeta.Config{
		Type: postmeta.Post, Prefix: c.TablePrefix, PostTypes: c.MetaPostTypes(), Keys: c.MetaKeys(), Posts: c.MetaPosts(),
	}
	if c.Kind == config.KindUserMeta {
		m.Type = postmeta.User
	}
	return m
}

// TicketsOf returns the reader of a site's tickets.
func TicketsOf(c *config.Site, db *mysql.DB) site.Database { return ticketsOf(c, db) }

// MetaOf returns the tables of a site with meta.
func MetaOf(c *config.Site, db *mysql.DB) *postmeta.Tables { return postmeta.New(db, metaOf(c)) }

func ticketsOf(c *config.Site, db *mysql.DB) tickets {
	if c.IsMeta() {
		return MetaOf(c, db)
	}
	return db
}

// noIDs is the allocator of a site without creates.
type noIDs struct{}

var errNoCreates = errors.New("WordPress makes the posts of this site")

func (noIDs) Next(context.Context) (ticket.ID, error) { return 0, errNoCreates }
func (noIDs) Use(ticket.ID)                           {}
func (noIDs) Start(context.Context)                   {}
func (noIDs) Stop(context.Context) error              { return nil }
func (noIDs) Left() int                               { return 0 }

// maxCleanTTL bounds how long a flushed ticket of a site with meta stays in Redis: its fields do not count, as other programs
// write the rows, and its revision serves conditions alone.
const maxCleanTTL = time.Minute

func cleanTTL(c *config.Site) time.Duration {
	if c.IsMeta() {
		return min(c.CleanTTL, maxCleanTTL)
	}
	return c.CleanTTL
}
