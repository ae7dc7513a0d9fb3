package boot

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/ticketd/ticketd/daemon/site"
	"github.com/ticketd/ticketd/internal/lifecycle"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis"
	"github.com/ticketd/ticketd/sync/flush"
	"github.com/ticketd/ticketd/sync/mysql"
)

// custody knows which table a site serves and whether all places of the site belong to it: the table that MySQL shows, the keys
// in Redis, the journal. As long as one does not, or the table is not known yet, nothing of the site is served: what clients
// write goes to their spool. All of its methods may be called by any goroutine.
type custody struct {
	site   string
	former string // what earlier versions called the table
	file   string // what is remembered of it on disk; empty where nothing is
	log    zerolog.Logger

	mu       sync.Mutex
	memory   custodyMemory
	identity string // the table's; empty before it is known
	unnamed  bool   // former stands for the identity, as the table has none
	journal  string // the journal's folder once it is open
	foreign  error  // what MySQL shows is not the site's table
	keys     error  // the keys in Redis are another table's
	strange  error  // the journal is another table's
	said     string // the reason that the log names last

	loop lifecycle.Loop
}

// custodyMemory is what a site's file says, so that a start without MySQL knows the table.
type custodyMemory struct {
	Identity string `json:"identity"`
	Address  string `json:"address"`
	Database string `json:"database"`
	Table    string `json:"table"`
	// Moved are identities that an operator has declared to be this table's as well: changes that carry one are accepted.
	Moved []string `json:"moved,omitempty"`
	// Earlier are identities that this site had before, and that no operator has declared to be this table's.
	Earlier []string `json:"earlier,omitempty"`
	// Keys is the identity of which keys were found, or made, in Redis last: where Redis holds none any more, it was emptied.
	Keys string `json:"keys,omitempty"`
}

// place says where the configuration puts the table.
func placeOf(db *mysql.DB) custodyMemory {
	at := custodyMemory{Address: db.Address()}
	at.Database, at.Table, _ = strings.Cut(db.Name(), ".")
	return at
}

// sameTable says that both name the same table, as far as a configuration can tell.
func (m *custodyMemory) sameTable(o *custodyMemory) bool {
	return m.Address == o.Address && m.Database == o.Database && m.Table == o.Table
}

// identityAt returns the identity that the table of the configuration had when a daemon looked last; empty for none.
func (m *custodyMemory) identityAt(db *mysql.DB) string {
	if at := placeOf(db); !m.sameTable(&at) {
		return ""
	}
	return m.Identity
}

// IdentityOf returns the identity that a site's table had when a daemon of this host looked last; empty for none.
func IdentityOf(stateDir, site string, db *mysql.DB) (string, error) {
	file := identityFile(stateDir, site)
	m, err := readMemory(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return m.identityAt(db), nil
}

// identityFile is where a site's identity is remembered; empty for nowhere.
func identityFile(dir, site string) string {
	if dir == "" {
		return ""
	}
	return filepath.Join(dir, site+".identity.json")
}

func readMemory(file string) (custodyMemory, error) {
	var m custodyMemory
	text, err := os.ReadFile(file)
	if file == "" || errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	return m, err
}

func writeMemory(file string, m *custodyMemory) error {
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil || file == "" {
		return err
	}
	return site.Keep(file, append(text, '\n'))
}

// newCustody makes the custody of a site and has the site's database report to it.
func newCustody(stateDir, name string, db *mysql.DB, log zerolog.Logger) *custody {
	c := &custody{site: name, former: db.Name(), file: identityFile(stateDir, name), log: log}
	var err error
	if c.memory, err = readMemory(c.file); err != nil {
		log.Warn().Err(err).Msg("the identity kept on disk is not used; it is read from MySQL")
	}
	db.Guard(mysql.GuardOptions{
		Told: func(identity string, own bool, err error) { c.told(db, identity, own, err) }, Had: c.memory.identityAt(db),
	})
	return c
}

// recall takes the identity from disk where MySQL does not answer, as long as the configuration names the same table as then.
func (c *custody) recall(db *mysql.DB) {
	c.mu.Lock()
	defer c.mu.Unlock()
	had := c.memory.identityAt(db)
	if c.identity != "" || c.foreign != nil || had == "" {
		return
	}
	db.Assume(had)
	c.identity = had
}

// told records what a connection to MySQL has shown.
func (c *custody) told(db *mysql.DB, identity string, own bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := placeOf(db)
	if c.foreign = err; err == nil && (c.identity != identity || c.memory.Identity != identity || !c.memory.sameTable(&at)) {
		c.unnamed = !own
		c.learn(db, identity)
	}
	c.say()
}

// learn notes which table this is. The caller holds the lock.
func (c *custody) learn(db *mysql.DB, identity string) {
	c.identity = identity
	now := placeOf(db)
	now.Identity, now.Moved, now.Earlier, now.Keys = identity, c.memory.Moved, c.memory.Earlier, c.memory.Keys
	if had := c.memory.Identity; had != "" && had != identity && had != c.former && !slices.Contains(now.Earlier, had) {
		now.Earlier = append(now.Earlier, had)
	}
	c.memory = now
	c.keep()
	if c.journal != "" {
		c.label()
	}
}

// keep writes what is remembered to the disk. The site works without; only the next start would miss it. The caller holds the
// lock.
func (c *custody) keep() {
	if err := writeMemory(c.file, &c.memory); err != nil {
		c.log.Warn().Err(err).Msg("the table's identity cannot be kept on disk")
	}
}

// journalLabel is the file beside a journal's segments that says which table its changes are for.
const journalLabel = "identity"

// label compares the journal's label with the identity, and writes one where an earlier version has written none. The caller
// holds the lock.
func (c *custody) label() {
	c.strange = nil
	owner, err := readLabel(c.journal)
	switch {
	case err != nil:
		c.strange = fmt.Errorf("the identity of the journal %s cannot be read: %w", c.journal, err)
	case owner == c.identity:
	case owner == "" || owner == c.former:
		if err := writeLabel(c.journal, c.identity); err != nil {
			c.strange = fmt.Errorf("the journal %s cannot be labelled: %w", c.journal, err)
		}
	default:
		c.strange = fmt.Errorf("the journal %s is for another table (identity %s; the one that the configuration names now "+
			"is %s): put the configuration back as it was, start once more, run 'ticketd flush' and stop; or, where that table has "+
			"moved here, stop the daemon and run 'ticketd identity move --site %s --yes'; if the journal has no pending changes, a "+
			"restart is enough", c.journal, owner, c.identity, c.site)
	}
}

func readLabel(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, journalLabel))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(text)), err
}

func writeLabel(dir, identity string) error {
	return site.Keep(filepath.Join(dir, journalLabel), []byte(identity+"\n"))
}

// say logs the reason why the site is not served when it differs from the last one. The caller holds the lock.
func (c *custody) say() {
	err, text := c.why(), ""
	if err != nil {
		text = err.Error()
	}
	switch {
	case text == c.said:
		return
	case err == nil:
		c.log.Info().Msg("all places belong to the site's table: the site is served")
	default:
		c.log.Error().Err(err).Msg("the site is not served")
	}
	c.said = text
}

var errUnidentified = errors.New("the table's identity is not known yet: MySQL has not answered since the configuration " +
	"names this table, or the table is missing (run 'ticketd migrate')")

// why says why nothing is served; nil where the site is. The caller holds the lock.
func (c *custody) why() error {
	switch {
	case c.foreign != nil:
		return fmt.Errorf("%w; if the table has moved, run 'ticketd identity move --site %s --yes'; if it is a copy, run 'ticketd "+
			"identity new --site %s --yes'", c.foreign, c.site, c.site)
	case c.strange != nil:
		return c.strange
	case c.keys != nil:
		return c.keys
	case c.identity == "":
		return errUnidentified
	default:
		return nil
	}
}

// served says why nothing is served; nil where the site is.
func (c *custody) served() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why()
}

// holds says whether pending changes may be flushed; its error says why not.
func (c *custody) holds() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := cmp.Or(c.foreign, c.strange); err != nil {
		return err
	}
	if c.identity == "" {
		return errUnidentified
	}
	return nil
}

// owner tells the Redis store to which table the keys must belong. The store gets no further without.
func (c *custody) owner(context.Context) (redis.Owner, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := errors.Join(c.foreign, c.strange); err != nil {
		return redis.Owner{}, fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
	if c.identity == "" {
		return redis.Owner{}, fmt.Errorf("%w: %w", store.ErrUnavailable, errUnidentified)
	}
	return redis.Owner{Identity: c.identity, Former: c.former}, nil
}

// known returns the table's identity; empty before it is known.
func (c *custody) known() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// owns says whether changes that carry an identity are for the site's table. While the table is unknown owns accepts every
// identity, as the site is not served then.
func (c *custody) owns(identity string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity == "" || identity == c.identity || slices.Contains(c.memory.Moved, identity)
}

// has says whether an identity is that of the site's table, and whether that is known.
func (c *custody) has(identity string) (has, known bool) {
	return c.known() != "" && c.owns(identity), c.known() != ""
}

// named returns the table's identity; empty if it is not known, or the table has none.
func (c *custody) named() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unnamed {
		return ""
	}
	return c.identity
}

// warnings are what the operator must act on.
func (c *custody) warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unnamed {
		return []string{"the table has no identity, and the daemon's MySQL user may not create one: run 'ticketd migrate' as a " +
			"user with the CREATE privilege; until then ticketd cannot distinguish the table from a copy on another server"}
	}
	return nil
}

// askEvery is how often a site that is not served is looked at.
const askEvery = time.Second

// start looks at the table again and again while the site is not served: nothing else would ask MySQL then.
func (c *custody) start(ctx context.Context, look func(context.Context) error) {
	c.loop.StartEvery(ctx, askEvery, func(ctx context.Context) {
		if c.served() != nil {
			_ = look(ctx) // [custody.told] records what it finds
		}
	})
}

func (c *custody) stop(ctx context.Context) error { return c.loop.Stop(ctx, "custody of "+c.site) }

// heldSink is a site's sink, which takes nothing from a journal that is another table's, and nothing while the table that MySQL
// shows is another one: connections from before lead there, too.
type heldSink struct {
	flush.Sink
	custody *custody
}

// Write implements [flush.Sink].
func (s heldSink) Write(ctx context.Context, changes []store.Claim) ([]flush.Result, error) {
	if err := s.custody.holds(); err != nil {
		return nil, fmt.Errorf("%w: %w", flush.ErrSinkForeign, err)
	}
	return s.Sink.Write(ctx, changes)
}
