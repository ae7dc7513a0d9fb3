package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/store/journal"
	"github.com/ticketd/ticketd/store/outbox"
	"github.com/ticketd/ticketd/store/wal"
)

// placesFile is in the state folder.
const placesFile = "places.json"

// leftFor is how long the keys of an earlier configuration are named: the daemon cannot see when the changes under these keys
// were flushed.
const leftFor = 7 * 24 * time.Hour

// lastPlaces is where this host's sites kept pending changes when a daemon ran last. A configuration with other places leaves
// these changes behind.
type lastPlaces struct {
	// Journals are the folders that have a folder for each site's journals.
	Journals []string `json:"journals,omitempty"`
	// Keys says per site where in Redis the tickets are, and whether changes may be pending in Redis.
	Keys map[string]lastKeys `json:"keys,omitempty"`
	// Left are keys of earlier configurations with pending changes.
	Left []leftKeys `json:"left,omitempty"`
}

type lastKeys struct {
	Where   string `json:"where"`
	Pending bool   `json:"pending"`
}

type leftKeys struct {
	Site  string    `json:"site"`
	Where string    `json:"where"`
	Since time.Time `json:"since"`
}

// findLeft looks for changes that were acknowledged under another configuration and that the present configuration does not
// flush: in journals of other sites or folders, and in Redis under other keys. Call findLeft before the first change.
func (d *Daemon) findLeft(ctx context.Context) {
	file := d.placesFile()
	if file == "" {
		d.left.Store(&[]string{})
		return
	}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &d.places)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		d.log.Warn().Err(err).Str("file", file).Msg("the places of the last configuration are not known")
	}
	left := slices.Concat(d.leftJournals(ctx), d.leftKeys(time.Now()))
	before := d.left.Swap(&left)
	for _, text := range left {
		if before == nil || !slices.Contains(*before, text) {
			d.log.Error().Msg(text)
		}
	}
	d.keepPlaces()
}

func (d *Daemon) placesFile() string {
	if d.config.Daemon.StateDir == "" {
		return ""
	}
	return filepath.Join(d.config.Daemon.StateDir, placesFile)
}

func (d *Daemon) keepPlaces() {
	if d.placesFile() == "" {
		return
	}
	text, err := json.MarshalIndent(&d.places, "", "  ")
	if err == nil {
		err = site.Keep(d.placesFile(), append(text, '\n'))
	}
	if err != nil {
		d.log.Warn().Err(err).
			Msg("the places of pending changes cannot be kept on disk: a new configuration could leave pending changes behind")
	}
}

// leftJournals names the journals with pending changes that no site of the configuration has.
func (d *Daemon) leftJournals(ctx context.Context) []string {
	own := make(map[string]bool)
	now := ""
	for _, name := range d.now.SiteNames() {
		former := d.config.FormerJournalDir(name)
		own[d.config.JournalDir(name)], own[former] = true, true
		now = filepath.Dir(filepath.Dir(former))
	}
	if filepath.IsAbs(now) && !slices.Contains(d.places.Journals, now) {
		d.places.Journals = append(d.places.Journals, now)
	}
	var left []string
	for _, root := range slices.Clone(d.places.Journals) {
		dirs, _ := filepath.Glob(filepath.Join(root, "*", "*")) // the pattern is well-formed
		pending := false
		for _, dir := range dirs {
			if own[dir] {
				continue
			}
			text, waits := leftJournal(ctx, dir)
			pending = pending || waits
			if text != "" {
				left = append(left, text)
			}
		}
		if root != now && !pending {
			d.places.Journals = slices.DeleteFunc(d.places.Journals, func(known string) bool { return known == root })
		}
	}
	return left
}

// leftJournal checks a journal of no site. pending says that the journal may hold changes.
func leftJournal(ctx context.Context, dir string) (text string, pending bool) {
	kind := filepath.Base(dir)
	if kind != "redis" && kind != "mysql" {
		return "", false
	}
	n, err := waitingIn(ctx, dir, kind == "redis")
	switch {
	case errors.Is(err, wal.ErrLocked): // another daemon's
		return "", true
	case err != nil:
		return fmt.Sprintf("the journal %s, which no site of the configuration has, cannot be read: %v", dir, err), true
	case n > 0:
		return fmt.Sprintf("%d changes are pending in the journal %s, which no site of the configuration has: a site was renamed or "+
			"taken out, or journal.dir was changed. Start once more with the configuration as it was, run 'ticketd flush' and stop",
			n, dir), true
	default:
		return "", false
	}
}

// leftKeys names the keys in Redis of earlier configurations under which changes may be pending.
func (d *Daemon) leftKeys(at time.Time) []string {
	keys := make(map[string]lastKeys)
	if d.config.HasRedis() {
		for _, name := range d.now.SiteNames() {
			keys[name] = lastKeys{Where: whereKeys(d.now, name), Pending: true}
		}
	}
	serves := func(where string) bool {
		return slices.ContainsFunc(slices.Collect(maps.Values(keys)), func(k lastKeys) bool { return k.Where == where })
	}
	for _, name := range slices.Sorted(maps.Keys(d.places.Keys)) {
		if had := d.places.Keys[name]; had.Pending && !serves(had.Where) {
			d.places.Left = append(d.places.Left, leftKeys{name, had.Where, at.UTC()})
		}
	}
	d.places.Keys = keys
	d.places.Left = slices.DeleteFunc(d.places.Left, func(l leftKeys) bool { return serves(l.Where) || at.Sub(l.Since) > leftFor })
	left := make([]string, len(d.places.Left))
	for i, l := range d.places.Left {
		left[i] = fmt.Sprintf("changes of the site %s may be pending in Redis under the keys of another configuration (%s): a daemon "+
			"with these keys stopped on this host before all changes were flushed, and no daemon flushes the changes now. Start once "+
			"more with the configuration as it was, run 'ticketd flush' and stop; this warning ends on %s",
			l.Site, l.Where, l.Since.Add(leftFor).Format(time.DateOnly))
	}
	return left
}

// Pending counts the pending changes in a site's journal while no daemon runs: changes for Redis, or without Redis tickets for
// MySQL, dead letters included. The error wraps wal.ErrLocked while a daemon runs.
func Pending(ctx context.Context, c *config.Config, site string) (n int64, err error) {
	dir := c.JournalDir(site)
	if _, err := os.Stat(dir); dir == "" || errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	n, err = waitingIn(ctx, dir, c.HasRedis())
	if err != nil {
		return 0, fmt.Errorf("site %s: %w", site, err)
	}
	return n, nil
}

// waitingIn counts the pending changes for Redis, or the pending tickets for MySQL, in a journal's folder.
func waitingIn(ctx context.Context, dir string, forRedis bool) (int64, error) {
	if forRedis {
		n, err := outbox.Waiting(dir) //nolint:contextcheck // Waiting reads all or fails
		return int64(n), err
	}
	waiting, _, err := journal.Open(ctx, dir, journal.Options{Log: zerolog.Nop()})
	if err != nil {
		return 0, err
	}
	return waiting.Journal().Entries, waiting.Close() //nolint:contextcheck // the journal is closed even after ctx ends
}
