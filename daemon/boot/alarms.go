package boot

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// seeded is called after Redis was found without any key of this site: normal for a new Redis, an alarm for a Redis that had keys
// before.
func (s *runningSite) seeded(floor ticket.Revision, emptied bool) {
	if s.Site != nil {
		s.Rebury()
	}
	if !emptied {
		s.log.Info().Int64("mysql_revision", int64(floor)).Msg("Redis holds no keys of this site yet")
		return
	}
	at := time.Now().UTC().Format(time.RFC3339)
	text := "Redis was found empty at " + at + ": changes that were not in MySQL by then are lost; find out who emptied it " +
		"(an object-cache plugin's flush, a restart without persistence) and give ticketd a Redis of its own"
	s.emptied.Store(&text)
	s.log.Error().Int64("mysql_revision", int64(floor)).Msg(text)
}

// oddKey is called for a key in Redis with an impossible revision.
func (s *runningSite) oddKey(key string) {
	text := "the Redis key " + strconv.Quote(key) + " had an impossible revision, written by another program than ticketd: " +
		"the key's fields count as changed now; find out which program writes there, and look at the ticket"
	s.sampled.Error().Msg(text)
	s.odd.Store(&text)
}

// foreignKey is called for a ticket's key in Redis with a value that is no ticket.
func (s *runningSite) foreignKey(key string) {
	at := time.Now().UTC().Format(time.RFC3339)
	text := "the Redis key " + strconv.Quote(key) + " held no ticket at " + at + ": another program uses this name, and the " +
		"overwritten ticket is lost unless MySQL has the ticket; give the site a key_prefix of its own, or delete the key"
	s.foreign.Store(&text)
	s.sampled.Error().Msg(text)
}

// vanishedKey is called after another program deleted the key of a ticket with pending changes.
func (s *runningSite) vanishedKey(key string, back bool) {
	became := "its pending changes are lost, unless another host's daemon acknowledged them lately"
	if back {
		became = "the changes that this daemon acknowledged lately are written again, older ones are lost"
	}
	text := "the Redis key " + strconv.Quote(key) + " of a ticket with pending changes was deleted or expired, as found at " +
		time.Now().UTC().Format(time.RFC3339) + "; " + became + ": find out which program deletes keys or sets expiries there"
	s.vanished.Store(&text)
	s.sampled.Error().Msg(text)
}

// convert makes a ticket of another program's hash.
func (s *runningSite) convert(ctx context.Context, key string, id ticket.ID, stray ticket.Fields) (ticket.Fields, error) {
	fields, err := convert(ctx, s.tickets, false, key, id, stray)
	if field := (*table.FieldError)(nil); errors.As(err, &field) {
		s.strays.refuse(key, field.Reason)
		s.sampled.Error().Msg(field.Reason)
	}
	if err == nil {
		s.strays.take(key)
	}
	return fields, err
}

// olderKey is called for another program's hash that was older than its ticket; aside is the hash's new name.
func (s *runningSite) olderKey(key, aside string) {
	s.strays.take(key)
	s.strays.setAside()
	s.sampled.Warn().Str("key", key).Str("aside", aside).
		Msg("a hash of another program is older than its ticket, which ticketd has flushed to MySQL: the hash is set aside")
}

// twinJournal is called if another daemon uses this journal's id.
func (s *runningSite) twinJournal(id string) {
	text := "another daemon uses the id of this host's journal (" + id + "), as hosts do that were cloned from one image: this " +
		"daemon goes on in Redis under another name until a restart; stop the daemon when 'ticketd status' shows an empty journal, " +
		"move the journal's folder away and start the daemon, which makes a new id"
	s.twin.Store(&text)
	s.log.Error().Msg(text)
}

func (s *runningSite) warnings() []string {
	found := slices.Concat(s.backend.warnings(), s.custody.warnings(), movedTexts(s.moves, time.Now()), s.strays.warnings(s.prefix),
		s.otherKeys.warnings())
	if s.couriers != nil {
		found = append(found, s.couriers.Warnings(time.Now())...)
	}
	for _, odd := range []string{s.database.OddRevisions(), s.database.NoTickets()} {
		if odd != "" {
			found = append(found, odd)
		}
	}
	for _, alarm := range []*atomic.Pointer[string]{&s.emptied, &s.foreign, &s.odd, &s.twin, &s.vanished} {
		if text := alarm.Load(); text != nil {
			found = append(found, *text)
		}
	}
	return found
}
