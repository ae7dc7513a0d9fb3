package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/sync/mysql"
)

// The sides that may win after a restore.
const (
	preferMySQL = "mysql"
	preferRedis = "redis"
)

func newRestore(o *options) *cobra.Command {
	var f configFlags
	var prefer string
	var yes bool
	cmd := &cobra.Command{
		Use: "restore --prefer mysql|redis", Short: "After MySQL was restored from a backup, say which side counts", Args: cobra.NoArgs,
		Long: "Run it with the daemons of all hosts stopped, after the backup is in MySQL and before they start again.\n\n" +
			"  --prefer redis  what Redis and the journal hold is newer than the backup and is flushed to MySQL again, at the next\n" +
			"                  start. What Redis had given up already by then is as old as the backup.\n" +
			"  --prefer mysql  the backup counts: Redis forgets the site's tickets, pending changes included, and the\n" +
			"                  journal is moved aside. The changes are printed as JSON, one ticket a line. Needs --yes.\n\n" +
			"Either way no id is given out twice, as far as Redis and the table tell. The spool is left for the next start.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case prefer != preferMySQL && prefer != preferRedis:
				return &usageError{fmt.Errorf("--prefer %q: it is mysql or redis", prefer)}
			case prefer == preferMySQL && !yes:
				return &usageError{errors.New("changes that MySQL does not have are dropped: say --yes if that is meant")}
			}
			return o.restore(cmd.Context(), &f, prefer)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&prefer, "prefer", "", "the side that counts: mysql or redis")
	cmd.Flags().BoolVar(&yes, "yes", false, "drop what MySQL does not have, with --prefer mysql")
	return cmd
}

func (o *options) restore(ctx context.Context, f *configFlags, prefer string) (err error) {
	c, name, err := o.loadSite(f)
	if err != nil {
		return err
	}
	journal := c.JournalDir(name)
	if err := stopped(c, journal); err != nil {
		return err
	}
	if !c.HasRedis() {
		return o.restoreJournal(prefer, journal)
	}
	places, err := boot.OpenPlaces(c, c.Sites[name])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, places.Close()) }()
	if err := errors.Join(raise(ctx, places), boot.ForgetIDs(c.Daemon.StateDir, name)); err != nil {
		return err
	}
	if prefer == preferRedis {
		return o.renew(ctx, places)
	}
	forgotten, err := places.Store.Discard(ctx, o.printLost)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "Redis has forgotten %d tickets\n", forgotten)
	return o.restoreJournal(prefer, journal)
}

// stopped makes sure that no daemon of this host works on the site.
func stopped(c *config.Config, journal string) error {
	running := errors.New("ticketd is running: stop it on all hosts first (systemctl stop ticketd.socket ticketd.service)")
	if journal != "" {
		err := wal.Check(journal)
		if errors.Is(err, wal.ErrLocked) {
			return running
		}
		return err
	}
	info, err := os.Stat(c.Daemon.Socket)
	if err == nil && info.Mode().Type() == os.ModeSocket {
		return fmt.Errorf("%s is there: %w", c.Daemon.Socket, running)
	}
	return nil
}

// raise puts the sequence of ids above all that Redis and the table know.
func raise(ctx context.Context, p *boot.Places) error {
	if _, err := p.Database.Migrate(ctx, mysql.MigrateOptions{}); err != nil { // the backup may be from before an upgrade
		return err
	}
	sequence := mysql.NewSequence(p.Database)
	if _, _, err := sequence.RaiseToTable(ctx); err != nil {
		return err
	}
	return p.Store.TicketIDs(ctx, func(ids []ticket.ID) error { return sequence.Raise(ctx, ids) })
}

// renew has all that Redis holds brought to MySQL again.
func (o *options) renew(ctx context.Context, p *boot.Places) error {
	d, err := p.Database.LoadDefinition(ctx)
	if err != nil {
		return err
	}
	var writable, computed []string
	for i := range d.Columns {
		if column := &d.Columns[i]; column.Generated {
			computed = append(computed, column.Field)
		} else {
			writable = append(writable, column.Field)
		}
	}
	n, err := p.Store.Renew(ctx, time.Now(), writable, computed)
	if err != nil {
		return err
	}
	fmt.Fprintf(o.err, "%d tickets are flushed to MySQL again, besides those that are pending already, when ticketd starts\n", n)
	return nil
}

// restoreJournal moves the journal aside where the backup is to count.
func (o *options) restoreJournal(prefer, dir string) error {
	if prefer == preferRedis {
		return errors.New("the configuration has no [redis]: what is pending in the journal is newer than the backup and is flushed " +
			"to MySQL when ticketd starts, without this command; --prefer mysql drops it")
	}
	if _, err := os.Stat(dir); dir == "" || err != nil {
		return nil //nolint:nilerr // there is none
	}
	aside := fmt.Sprintf("%s.restored-%d", dir, time.Now().Unix())
	if err := os.Rename(dir, aside); err != nil {
		return fmt.Errorf("moving the journal aside: %w", err)
	}
	fmt.Fprintf(o.err, "the journal is moved to %s; remove it when you are sure\n", aside)
	return nil
}

// printLost prints changes that are dropped.
func (o *options) printLost(claims []store.Claim) error {
	for i := range claims {
		fields := make(map[string]any, len(claims[i].Fields))
		for _, f := range claims[i].Fields {
			fields[f.Name] = nil
			if !f.Value.IsNull() {
				fields[f.Name] = f.Value.Text()
			}
		}
		line := map[string]any{"id": claims[i].ID, "deleted": claims[i].Deleted, "fields": fields}
		if err := json.NewEncoder(o.out).Encode(line); err != nil {
			return fmt.Errorf("printing what is dropped: %w", err)
		}
	}
	return nil
}
