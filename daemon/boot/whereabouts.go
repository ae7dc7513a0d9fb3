package boot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/sync/mysql"
)

// Whereabouts are a site's places and their identities, for the commands by which an operator decides to which table a place
// belongs.
type Whereabouts struct {
	Site string
	// Name is the table's name, the identity in earlier versions.
	Name  string
	Table mysql.Identity
	// Keys is the identity of the keys in Redis, empty for keys without an identity; Prefix is the prefix of the keys' names, empty
	// without a Redis.
	Keys, Prefix string
	// Journals are the journals' identities by folder; empty if an earlier version has written no identity.
	Journals map[string]string
	// Remembered is the table's identity in this host's state folder.
	Remembered string

	db     *mysql.DB
	keys   *redis.Keys
	close  func() error
	file   string
	memory custodyMemory
}

// FindWhereabouts asks all places of a site, without a change.
func FindWhereabouts(ctx context.Context, c *config.Config, name string) (w *Whereabouts, err error) {
	w = &Whereabouts{Site: name, Journals: map[string]string{}, file: identityFile(c.Daemon.StateDir, name)}
	if w.memory, err = readMemory(w.file); err != nil {
		return nil, fmt.Errorf("%s: %w", w.file, err)
	}
	w.Remembered = w.memory.Identity
	for _, dir := range []string{c.JournalDir(name), c.FormerJournalDir(name)} {
		if _, err := os.Stat(dir); dir == "" || errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if w.Journals[dir], err = readLabel(dir); err != nil {
			return nil, err
		}
	}
	s := c.Sites[name]
	if w.db, err = OpenDatabase(s); err != nil {
		return nil, err
	}
	w.Name, w.close = w.db.Name(), w.db.Close
	if w.Table, err = w.db.ReadIdentity(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	if !c.HasRedis() {
		return w, nil
	}
	client, err := OpenRedis(c)
	if err != nil {
		return nil, errors.Join(err, w.Close())
	}
	w.close = func() error { return errors.Join(w.db.Close(), client.Close()) }
	w.keys = redis.NewKeys(client, s.KeyPrefix, len(c.Redis.Cluster) > 0)
	w.Prefix = w.keys.Prefix()
	if w.Keys, err = w.keys.Owner(ctx); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Close ends the connections.
func (w *Whereabouts) Close() error { return w.close() }

// Foreign says that an identity is another table's.
func (w *Whereabouts) Foreign(identity string) bool {
	return identity != "" && identity != w.Table.ID && identity != w.Name
}

// foreignJournals are the folders of journals with another table's identity.
func (w *Whereabouts) foreignJournals() []string {
	var dirs []string
	for dir, identity := range w.Journals {
		if w.Foreign(identity) {
			dirs = append(dirs, dir)
		}
	}
	slices.Sort(dirs)
	return dirs
}

// ErrRunning means that a daemon has the journal open.
var ErrRunning = errors.New("ticketd is running and has the site's journal open: stop it first (systemctl stop ticketd.socket " +
	"ticketd.service)")

func idle(dirs []string) error {
	for _, dir := range dirs {
		if err := wal.Check(dir); errors.Is(err, wal.ErrLocked) {
			return ErrRunning
		}
	}
	return nil
}

// Move declares that the table has moved to its present place, and that the journal, the keys in Redis and the spool of this host
// belong to the table, also if a place has a different identity. Move may be repeated.
func (w *Whereabouts) Move(ctx context.Context) error {
	dirs := w.foreignJournals()
	if err := idle(dirs); err != nil {
		return err
	}
	carried := slices.Concat([]string{w.Keys, w.Remembered}, w.memory.Earlier)
	for _, dir := range dirs {
		carried = append(carried, w.Journals[dir])
	}
	var err error
	if w.Table, err = w.db.MoveIdentity(ctx); err != nil {
		return err
	}
	m := placeOf(w.db)
	m.Identity, m.Moved = w.Table.ID, w.memory.Moved
	for _, identity := range carried {
		if w.Foreign(identity) && !slices.Contains(m.Moved, identity) {
			m.Moved = append(m.Moved, identity)
		}
	}
	if err := writeMemory(w.file, &m); err != nil {
		return err
	}
	for _, dir := range dirs {
		if err := writeLabel(dir, w.Table.ID); err != nil {
			return err
		}
	}
	if w.Foreign(w.Keys) {
		return w.keys.Adopt(ctx, w.Table.ID)
	}
	return nil
}

// Renew declares that the table is a copy, and gives the copy its own identity. A journal with an identity came with the copy:
// Renew moves the journal aside, and returns the new folders. With withKeys the keys in Redis came with the copy, too, and belong
// to the copy from now on.
func (w *Whereabouts) Renew(ctx context.Context, withKeys bool) (aside []string, err error) {
	var dirs []string
	for dir, identity := range w.Journals {
		if identity != "" {
			dirs = append(dirs, dir)
		}
	}
	if err := idle(dirs); err != nil {
		return nil, err
	}
	if w.Table, err = w.db.RenewIdentity(ctx); err != nil {
		return nil, err
	}
	for _, dir := range dirs {
		to := fmt.Sprintf("%s.original-%d", dir, time.Now().Unix())
		if err := os.Rename(dir, to); err != nil {
			return aside, fmt.Errorf("moving the journal aside: %w", err)
		}
		aside = append(aside, to)
	}
	if w.file != "" {
		if err := os.Remove(w.file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return aside, err
		}
	}
	if withKeys && w.keys != nil {
		return aside, w.keys.Adopt(ctx, w.Table.ID)
	}
	return aside, nil
}
