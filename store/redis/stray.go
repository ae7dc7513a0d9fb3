package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis' scripts have no other hash; the hash tells two states apart, the hash keeps no secret
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/store"
	"github.com/ticketd/ticketd/store/redis/link"
)

//go:embed stray.lua
var straySource string

//go:embed aside.lua
var asideSource string

var (
	strayScript = guarded(boundedSource + straySource)
	asideScript = guarded(asideSource)
)

// errStray is the outcome of a change that met a stray hash: a hash under a ticket's name that another program wrote, as the hash
// has no revision. The change was not made.
var errStray = errors.New("the hash was written by another program")

// ErrOlder means that a hash of another program is older than the ticket: ticketd has written the ticket's row since.
var ErrOlder = errors.New("the hash is older than the ticket: ticketd has flushed the ticket to MySQL since")

const (
	// MaxStrayFields bounds the fields of a stray hash that is taken over: twice as many values must fit Lua's unpack, next to
	// their marks. Options.Convert refuses more fields.
	MaxStrayFields = 1000
	// strayTries bounds the reads of a stray hash that another program changes in between.
	strayTries = 3
)

// isStray says that another program wrote a hash.
func isStray(hash map[string]string) bool {
	_, ours := hash[fieldRevision]
	return len(hash) > 0 && !ours
}

// Unpack returns the fields of a stray hash, by name. PHP code that passes a list of names and values to phpredis 6 as one array
// makes a hash with the fields 0, 1, 2, …: the even fields hold the names, the odd fields the values. Each such write begins at 0
// again and overwrites the beginning of the list, so the first pair of a name is the newest pair; a field under its own name was
// set alone, later. A field that belongs to no such pair keeps its name.
func Unpack(hash map[string]string) ticket.Fields {
	named := make(map[string]string, len(hash))
	taken := make(map[string]bool)
	for i := 0; ; i += 2 {
		at, next := strconv.Itoa(i), strconv.Itoa(i+1)
		name, there := hash[at]
		value, paired := hash[next]
		if !there || !paired || !isName(name) {
			break
		}
		taken[at], taken[next] = true, true
		if _, newer := named[name]; !newer {
			named[name] = value
		}
	}
	for name, value := range hash {
		if !taken[name] {
			named[name] = value
		}
	}
	fields := make(ticket.Fields, 0, len(named))
	for _, name := range slices.Sorted(maps.Keys(named)) {
		fields = append(fields, ticket.Field{Name: name, Value: ticket.Text(named[name])})
	}
	return fields
}

// isName says whether a text can be the name of a field, rather than a value.
func isName(s string) bool {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"
	return s != "" && len(s) <= 64 && strings.Trim(s, letters+"0123456789-") == "" && strings.ContainsRune(letters, rune(s[0]))
}

// digest identifies the content of a hash, in the order of names, as stray.lua computes the digest.
func digest(hash map[string]string, names []string) string {
	sum := sha1.New() //nolint:gosec // see the import
	for _, name := range names {
		fmt.Fprintf(sum, "%d:%s%d:%s", len(name), name, len(hash[name]), hash[name])
	}
	return hex.EncodeToString(sum.Sum(nil))
}

// TakeOver makes tickets of stray hashes: all fields of a hash become a pending change, and the key loses its expiry. TakeOver
// returns one error per ticket, in their order: nil where the hash is a ticket now, was a ticket already, or is gone. A hash with
// a value that the table refuses stays unchanged, and so does a hash that is older than its ticket ([ErrOlder]).
func (w *writer) TakeOver(ctx context.Context, ids []ticket.ID) []error {
	errs := make([]error, len(ids))
	for i, id := range ids {
		for try := 1; ; try++ {
			changed, err := w.takeOver(ctx, id)
			if changed && try < strayTries {
				continue
			}
			if changed {
				err = fmt.Errorf("redis take over: %w: another program keeps writing to the hash %q", store.ErrUnavailable, w.keys.ticket(id))
			}
			errs[i] = err
			break
		}
	}
	return errs
}

// MayTakeOver returns the error that TakeOver would return for each ticket's hash, without a change.
func (w *writer) MayTakeOver(ctx context.Context, ids []ticket.ID) []error {
	errs := make([]error, len(ids))
	for i, id := range ids {
		_, _, errs[i] = w.converted(ctx, id)
	}
	return errs
}

// takeOver takes over a hash. changed says that another program wrote to the hash in between, and that the hash was not taken
// over.
func (w *writer) takeOver(ctx context.Context, id ticket.ID) (changed bool, err error) {
	hash, fields, err := w.converted(ctx, id)
	if err != nil || hash == nil {
		return false, err
	}
	p := w.keys.partition(id)
	names := []string{w.keys.dirty(p), w.keys.meta(p), w.keys.ticket(id)}
	revision, err := w.run(ctx, strayScript, p, names, w.strayArgs(id, hash, fields)...).Int64()
	if err != nil {
		return false, link.Wrap("take over", err)
	}
	w.opts.Clock.Observe(ticket.Revision(max(revision, 0)))
	return revision < 0, nil
}

// converted returns a hash that can be taken over, and the fields that the hash becomes; nil if the key holds no such hash.
func (w *writer) converted(ctx context.Context, id ticket.ID) (map[string]string, ticket.Fields, error) {
	hashes, err := w.tickets.hashes(ctx, []ticket.ID{id})
	if err != nil {
		return nil, nil, link.Wrap("take over", err)
	}
	hash := hashes[0]
	if !isStray(hash) {
		return nil, nil, nil
	}
	if w.opts.Convert == nil {
		return nil, nil, fmt.Errorf("the Redis hash %q: %w", w.keys.ticket(id), errStray)
	}
	fields, err := w.opts.Convert(ctx, w.keys.ticket(id), id, Unpack(hash))
	if err != nil {
		return nil, nil, err
	}
	return hash, fields, nil
}

// strayArgs are the script's arguments for a hash that was read and the fields that the hash becomes.
func (w *writer) strayArgs(id ticket.ID, hash map[string]string, fields ticket.Fields) []any {
	names := slices.Sorted(maps.Keys(hash))
	args := []any{int64(id), int64(w.opts.Clock.Propose()), millis(time.Now()), digest(hash, names), len(names)}
	for _, name := range names {
		args = append(args, name)
	}
	var values, nulls []any
	for _, f := range fields {
		if f.Value.IsNull() {
			nulls = append(nulls, f.Name)
		} else {
			values = append(values, f.Name, f.Value.Text())
		}
	}
	return slices.Concat(args, []any{len(values) / 2}, values, nulls)
}

// makeWay takes over a stray hash that a change has met, or sets the hash aside where the hash is older than its ticket.
func (w *writer) makeWay(ctx context.Context, id ticket.ID) error {
	err := w.TakeOver(ctx, []ticket.ID{id})[0]
	if !errors.Is(err, ErrOlder) {
		return err
	}
	key, aside := w.keys.ticket(id), w.keys.aside(id)
	err = w.run(ctx, asideScript, w.keys.partition(id), []string{key, aside}).Err()
	if err == nil && w.opts.OnOlder != nil {
		w.opts.OnOlder(key, aside)
	}
	return link.Wrap("set aside", err)
}

// Strays calls f with the tickets under whose names stray hashes lie, in batches; see [Admin.TicketIDs] for tickets that Strays
// may miss.
func (t *tickets) Strays(ctx context.Context, f func([]ticket.ID) error) error {
	return t.scanKeys(ctx, t.keys.ticketID, func(ids []ticket.ID) error {
		commands := make([]*goredis.BoolCmd, len(ids))
		err := t.read(ctx, t.partitionsOf(ids), func(pipe goredis.Pipeliner) {
			for i, id := range ids {
				commands[i] = pipe.HExists(ctx, t.keys.ticket(id), fieldRevision)
			}
		})
		if err != nil && !link.IsForeign(err) {
			return link.Wrap("scan", err)
		}
		var strays []ticket.ID
		for i, command := range commands {
			if ours, err := command.Result(); err == nil && !ours {
				strays = append(strays, ids[i])
			}
		}
		if len(strays) == 0 {
			return nil
		}
		return f(strays)
	})
}

// Asides counts the hashes that were set aside; see [Admin.TicketIDs] for hashes that Asides may miss.
func (t *tickets) Asides(ctx context.Context) (n int64, err error) {
	err = t.scanKeys(ctx, t.keys.asideID, func(ids []ticket.ID) error {
		n += int64(len(ids))
		return nil
	})
	return n, err
}

const asideName = "aside:"

// aside is the new name of another program's hash that had the ticket's name and is older than the ticket.
func (k keys) aside(id ticket.ID) string {
	return k.base(k.partition(id)) + asideName + id.String()
}

// asideID returns the ticket whose hash was set aside under a name.
func (k keys) asideID(name string) (ticket.ID, bool) {
	id, err := ticket.ParseID(name[strings.LastIndexByte(name, ':')+1:])
	return id, err == nil && k.aside(id) == name
}
