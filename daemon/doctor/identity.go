package doctor

import (
	"context"

	"github.com/ticketd/ticketd/daemon/boot"
)

// identity looks whether all places of a site belong to its table.
func (e *exam) identity(ctx context.Context, site string) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	w, err := boot.FindWhereabouts(ctx, e.Config, site)
	if err != nil {
		e.warn("mysql", "identity", site, "it cannot be told whether all places of the site belong to its table: "+short(err),
			"see the findings about MySQL and Redis")
		return
	}
	defer func() { _ = w.Close() }()
	decide := "ticketd identity move --site " + site + " if it has moved, ticketd identity new --site " + site + " if it is " +
		"a copy"
	switch {
	case w.Table.ID == "":
		e.warn("mysql", "identity", site, "the table has no identity: ticketd cannot distinguish it from a copy on another server",
			"ticketd migrate --site "+site)
	case !w.Table.AtHome():
		e.fail("mysql", "identity", site, "the table belongs to the "+w.Table.Home+", and this is the "+w.Table.Here+
			": the site is not served", decide)
	default:
		e.ok("mysql", "identity", site, "the table is "+w.Table.ID+" and where it belongs")
	}
	if w.Foreign(w.Keys) {
		e.fail("redis", "owner", site, "the keys "+w.Prefix+"* belong to another table, "+w.Keys+": the site is not served",
			"give the site a key_prefix or redis.db of its own; ticketd identity move --site "+site+" if that table has moved here")
	} else if w.Keys != "" {
		e.ok("redis", "owner", site, "the keys "+w.Prefix+"* are this table's")
	}
	for dir, identity := range w.Journals {
		if w.Foreign(identity) {
			e.fail("journal", "identity", site, dir+" is for another table, "+identity+": while it has changes the site is not served",
				"put the configuration back as it was, start, ticketd flush, stop; ticketd identity move --site "+site+
					" if that table has moved here")
		}
	}
}
