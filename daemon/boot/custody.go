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

// custody knows which table a site serves, and whether all places of the site belong to this table: the table in MySQL, the keys
// in Redis, the journal. While a place belongs to another table, or the table is not known yet, the site is not served, and
// clients write to their spool. All methods may be called by any goroutine.
type custody struct {
	site   string
	former string // the table's identity in earlier versions
	file   string // the file of memory; empty without a state folder
	log    zerolog.Logger

	mu       sync.Mutex
	memory   custodyMemory
	identity string // the table's; empty before it is known
	unnamed  bool   // former stands for the identity, as the table has none
	journal  string // the open journal's folder
	foreign  error  // the table in MySQL is not the site's
	keys     error  // the keys in Redis are another table's
	strange  error  // the journal is another table's
	said     string // the reason in the last log message

	withheld chan struct{} // tells the loop that the site is not served
	loop     lifecycle.Loop
}

// custodyMemory is the content of a site's file, from which a start without MySQL knows the table.
type custodyMemory struct {
	Identity string `json:"identity"`
	Address  string `json:"address"`
	Database string `json:"database"`
	Table    string `json:"table"`
	// Moved are identities that an operator has declared to be this table's as well: changes with such an identity are accepted.
	Moved []string `json:"moved,omitempty"`
	// Earlier are former identities of this site that no operator has declared to be this table's.
	Earlier []string `json:"earlier,omitempty"`
	// Keys is the identity of the keys that were last found, or made, in Redis: if Redis has no keys later, Redis was emptied.
	Keys string `json:"keys,omitempty"`
}

// placeOf returns the table's place according to the configuration.
func placeOf(db *mysql.DB) custodyMemory {
	at := custodyMemory{Address: db.Address()}
	at.Database, at.Table, _ = strings.Cut(db.Name(), ".")
	return at
}

// sameTable says whether m and o name the same table, as far as a configuration can tell.
func (m *custodyMemory) sameTable(o *custodyMemory) bool {
	return m.Address == o.Address && m.Database == o.Database && m.Table == o.Table
}

// identityAt returns the identity that a daemon last found for the configuration's table; empty if no daemon has.
func (m *custodyMemory) identityAt(db *mysql.DB) string {
	if at := placeOf(db); !m.sameTable(&at) {
		return ""
	}
	return m.Identity
}

// IdentityOf returns the identity that a daemon of this host last found for a site's table; empty if no daemon has.
func IdentityOf(stateDir, site string, db *mysql.DB) (string, error) {
	file := identityFile(stateDir, site)
	m, err := readMemory(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return m.identityAt(db), nil
}

// identityFile is the file of a site's identity; empty without a state folder.
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

// newCustody makes the custody of a site, to which the site's database reports.
func newCustody(stateDir, name string, db *mysql.DB, log zerolog.Logger) *custody {
	c := &custody{
		site: name, former: db.Name(), file: identityFile(stateDir, name), log: log, withheld: make(chan struct{}, 1),
	}
	var err error
	if c.memory, err = readMemory(c.file); err != nil {
		log.Warn().Err(err).Msg("the identity kept on disk is not used; the daemon reads the identity from MySQL")
	}
	db.Guard(mysql.GuardOptions{
		Told: func(identity string, own bool, err error) { c.told(db, identity, own, err) }, Had: c.memory.identityAt(db),
	})
	return c
}

// recall takes the identity from disk if MySQL does not answer and the configuration still names the same table.
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

// told records the identity that a connection to MySQL has shown.
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

// learn records the table's identity. The caller holds the lock.
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

// keep writes memory to disk. The site works without the file; only the next start needs the file. The caller holds the lock.
func (c *custody) keep() {
	if err := writeMemory(c.file, &c.memory); err != nil {
		c.log.Warn().Err(err).Msg("the table's identity cannot be kept on disk")
	}
}

// journalLabel is the file beside a journal's segments that says which table its changes are for.
const journalLabel = "identity"

// label compares the journal's label with the identity, and writes the label that an earlier version has not written. The caller
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

// say logs the reason why the site is not served if the reason has changed. The caller holds the lock.
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
		select {
		case c.withheld <- struct{}{}:
		default:
		}
	}
	c.said = text
}

var errUnidentified = errors.New("the table's identity is not known yet: MySQL has not answered since the configuration " +
	"names this table, or the table is missing (run 'ticketd migrate')")

// why says why the site is not served; nil if the site is served. The caller holds the lock.
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

// served says why the site is not served; nil if the site is served.
func (c *custody) served() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why()
}

// holds returns nil if pending changes may be flushed, or the reason why not.
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

// owner tells the Redis store to which table the keys must belong. Without an owner the store is unavailable.
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

// known returns the table's identity; empty before the identity is known.
func (c *custody) known() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity
}

// untouched says that no daemon of this host has ever found the table that the configuration names: the site has accepted no
// change. Without a state folder the daemon cannot tell.
func (c *custody) untouched() bool { return c.known() == "" && c.file != "" }

// owns says whether changes that carry an identity are for the site's table. While the table is unknown owns accepts every
// identity, as the site is not served then.
func (c *custody) owns(identity string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.identity == "" || identity == c.identity || slices.Contains(c.memory.Moved, identity)
}

// has says whether an identity is the site's table's, and whether the table is known.
func (c *custody) has(identity string) (has, known bool) {
	return c.known() != "" && c.owns(identity), c.known() != ""
}

// named returns the table's identity; empty if the identity is not known, or the table has no identity.
func (c *custody) named() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unnamed {
		return ""
	}
	return c.identity
}

// warnings are the findings on which the operator must act.
func (c *custody) warnings() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.unnamed {
		return []string{"the table has no identity, and the daemon's MySQL user may not create an identity: run 'ticketd migrate' as " +
			"a user with the CREATE privilege; until then ticketd cannot distinguish the table from a copy on another server"}
	}
	return nil
}

// askEvery is how often a site that is not served is checked.
const askEvery = time.Second

// start checks the table every askEvery while the site is not served: no request asks MySQL then.
func (c *custody) start(ctx context.Context, look func(context.Context) error) {
	c.loop.Start(ctx, func(ctx context.Context) {
		ticker := time.NewTicker(askEvery)
		defer ticker.Stop()
		for {
			turn := ticker.C
			if c.served() == nil {
				ticker.Stop()
				turn = nil
			}
			select {
			case <-ctx.Done():
				return
			case <-c.withheld:
				ticker.Reset(askEvery)
			case <-turn:
				_ = look(ctx) // [custody.told] records the result
			}
		}
	})
}

func (c *custody) stop(ctx context.Context) error { return c.loop.Stop(ctx, "custody of "+c.site) }

// heldSink is a site's sink, which refuses changes while the journal is another table's or the table in MySQL is another table:
// older connections lead to the same server.
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
