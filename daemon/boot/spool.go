package boot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/ticketd/ticketd/daemon"
	"github.com/ticketd/ticketd/daemon/moves"
	"github.com/ticketd/ticketd/daemon/site"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/spool"
	"github.com/ticketd/ticketd/store"
)

// openSpool opens the spool, if configured, and puts the spool before the requests.
func (d *Daemon) openSpool(dispatcher *daemon.Dispatcher) {
	c := &d.config.Daemon
	if c.SpoolDir == "" {
		return
	}
	d.spoolUsers.Store(d.prepareSpool(d.config))
	d.spool = spool.New(spool.Options{
		Path: c.SpoolDir, State: filepath.Join(c.StateDir, "spool-folder"), GID: c.SpoolGID(), Sites: d.table,
		Timeout: c.RequestTimeout, LookEvery: time.Millisecond, Log: d.log, Moves: d.movesOf,
		Users: func() []uint32 { return *d.spoolUsers.Load() },
	})
	dispatcher.UseSpool(d.spool)
}

// movesOf returns the register of a site's creates that got a new id.
func (d *Daemon) movesOf(of daemon.Site) *moves.Register {
	for _, s := range d.sites() {
		if daemon.Site(site.Gate{Site: s.Site}) == of { // as access hands it out
			return s.moves
		}
	}
	return moves.New(moves.Options{})
}

// setAside puts a site's acknowledged change that is older than the ticket with the same id into the spool's bad/.
func (d *Daemon) setAside(s *runningSite, m *store.Mutation, at time.Time) error {
	if d.spool == nil {
		return errors.New("daemon.spool_dir is empty: name a folder, and after a restart the change goes into the folder's bad/")
	}
	name, err := d.spool.SetAside(&spool.Aside{Site: s.name, Identity: s.custody.named(), Mutation: m, At: at})
	if err == nil {
		s.log.Error().Int64("ticket", int64(m.ID)).Str("file", name).Time("acknowledged", at).Str("request_id", m.RequestID).
			Msg("a change was acknowledged before the ticket with the same id was created: the change means another ticket, and is " +
				"set aside in the spool's bad/, beside the reason")
	}
	return err
}

// prepareSpool makes the users' folders as far as this process may, and returns the users that should have a folder.
func (d *Daemon) prepareSpool(c *config.Config) *[]uint32 {
	users := d.peers(c)
	own := uint32(os.Geteuid()) //nolint:gosec // a user id is never negative here
	p := spool.Preparation{
		Base: d.config.Daemon.SpoolDir, UID: own, GID: uint32(os.Getegid()), //nolint:gosec // likewise
		SharedGID: c.Daemon.SpoolGID(), Users: []uint32{own},
		Say: func(format string, args ...any) { d.log.Info().Msg("the spool: " + fmt.Sprintf(format, args...)) },
	}
	if own == 0 {
		p.Users = append(p.Users, users...)
	}
	if err := p.Run(); err != nil {
		d.log.Warn().Err(err).Msg("a folder of the spool cannot be made; run 'ticketd spool prepare' as root")
	}
	users = append(users, own)
	return &users
}

// peers are the users that may use a site, as far as the configuration names the users.
func (d *Daemon) peers(c *config.Config) []uint32 {
	users, err := c.Peers()
	if err != nil {
		d.log.Warn().Err(err).Msg("some users are not known: such a user has no folder in the spool and no reserved connection")
	}
	return users
}

// PrepareSpool makes the folders of all users, for a command that root runs. daemonUser is the daemon's user by name or number;
// empty means the folder's owner, or the user that the packages make.
func PrepareSpool(c *config.Config, daemonUser string, say func(format string, args ...any)) error {
	if c.Daemon.SpoolDir == "" {
		say("daemon.spool_dir is empty: the daemon has no spool")
		return nil
	}
	uid, gid, err := daemonIDs(c.Daemon.SpoolDir, daemonUser)
	if err != nil {
		return err
	}
	users, unknown := c.Peers()
	p := spool.Preparation{
		Base: c.Daemon.SpoolDir, UID: uid, GID: gid, SharedGID: c.Daemon.SpoolGID(), Say: say,
		Users: append([]uint32{0, uid}, users...),
	}
	return errors.Join(p.Run(), unknown)
}

// daemonIDs are the daemon's user and group.
func daemonIDs(dir, name string) (uid, gid uint32, err error) {
	const packaged = "ticketd"
	uid = uint32(os.Geteuid()) //nolint:gosec // a user id is never negative here
	info, err := os.Lstat(dir)
	switch {
	case name != "":
		if uid, err = config.UserID(name); err != nil {
			return 0, 0, fmt.Errorf("--user: this machine has no user %q", name)
		}
	case err == nil && info.Sys().(*syscall.Stat_t).Uid != 0: //nolint:forcetypeassert // what Linux always gives
		uid = info.Sys().(*syscall.Stat_t).Uid //nolint:forcetypeassert // likewise
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return 0, 0, fmt.Errorf("daemon.spool_dir: %w", err)
	case err != nil: // the folder does not exist yet
		if found, err := config.UserID(packaged); err == nil {
			uid = found
		}
	}
	found, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return 0, 0, fmt.Errorf("the daemon's user %d: %w; name the user with --user", uid, err)
	}
	group, err := strconv.ParseUint(found.Gid, 10, 32)
	return uid, uint32(group), err
}
