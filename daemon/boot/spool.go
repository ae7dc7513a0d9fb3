package boot

import (
	"context"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/spool"
)

// spoolTimeout bounds the intake before the first request; what is left then is taken in while requests wait for it.
const spoolTimeout = 5 * time.Second

// openSpool opens the spool, where the configuration has one, and puts it before the requests.
func (d *Daemon) openSpool(dispatcher *daemon.Dispatcher) {
	c := &d.config.Daemon
	if c.SpoolDir == "" {
		return
	}
	d.spool = spool.New(spool.Options{
		Path: c.SpoolDir, GID: c.SpoolGID(), Sites: d.table, Timeout: c.RequestTimeout, Log: d.log, OnMoved: d.spooledMoved,
	})
	dispatcher.UseSpool(d.spool)
}

// spooledMoved is told that a create from the spool got another id than its client was told.
func (d *Daemon) spooledMoved(of daemon.Site, from, to int64) {
	for _, s := range d.sites {
		if daemon.Site(s.Site) == of {
			s.spooledMoved(from, to)
		}
	}
}

// takeInSpool takes in what waits, and from then on what comes.
func (d *Daemon) takeInSpool(ctx, work context.Context) {
	if d.spool == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	err := d.spool.TakeIn(ctx)
	if n := d.spool.Status().Taken; n > 0 {
		d.log.Info().Int64("files", n).Bool("all", err == nil).Msg("changes were taken in from the spool")
	}
	d.spool.Start(work)
}
