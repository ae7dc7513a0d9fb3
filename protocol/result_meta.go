package protocol

import (
	"time"
)

// WaitingTicket are the changes of a ticket that MySQL does not have yet.
type WaitingTicket struct {
	// Revision is the ticket's.
	Revision int64
	// Fields are the changed fields alone, in no order.
	Fields Fields
	// Deleted says that the ticket's deletion is pending.
	Deleted bool
}

// WaitingResult is the result of waiting: the pending changes of one ticket per id, in the order of the ids; nil for a ticket
// without any.
type WaitingResult struct {
	Tickets []*WaitingTicket
	// Stale says that a place which may hold pending changes did not answer: changes may be missing, also of the nil tickets.
	Stale bool
}

// MarkStale says that changes may be missing.
func (r *WaitingResult) MarkStale() { r.Stale = true }

// Kind says in which tables the values of a site's tickets are.
type Kind string

// The kinds of sites.
const (
	KindTable    Kind = "table"    // a table with a column for each field
	KindPostMeta Kind = "postmeta" // WordPress' posts and their meta: the ticket's id is the post's
	KindUserMeta Kind = "usermeta" // WordPress' users and their meta: the ticket's id is the user's
)

// DescribeResult is the result of describe: what a client of a site must know to write its tickets. Daemons may add keys.
type DescribeResult struct {
	Kind Kind
	// Table is the daemon's name for the table, "database.table".
	Table string
	// PostTypes are the types of the posts that the site manages; empty for other kinds.
	PostTypes []string
	// Keys are the meta keys by field, Posts the columns of wp_posts by field: a field may have either or both, and of the kind
	// table none.
	Keys, Posts map[string]string
	// Types are the families of the columns' types by field, as in "varchar" or "text"; nil before the daemon has read the table's
	// definition.
	Types map[string]string
	// AddsBehind says that the first value of a key may wait for MySQL, too.
	AddsBehind bool
	// StaleQueries says that SQL queries need not wait for a flush; otherwise they wait for up to QueryWait.
	StaleQueries bool
	QueryWait    time.Duration
	// MaxValue bounds the bytes of a value.
	MaxValue int64
}

// The words of describe's settings.
const (
	addsBehind, addsThrough    = "behind", "through"
	queriesFresh, queriesStale = "fresh", "stale"
)

func choose(condition bool, yes, no string) string {
	if condition {
		return yes
	}
	return no
}

func (r *DescribeResult) encode(e *Encoder) {
	e.mapLen(10)
	e.pairStr("kind", string(r.Kind))
	e.pairStr("table", r.Table)
	e.str("post_types")
	e.array(len(r.PostTypes))
	for _, name := range r.PostTypes {
		e.str(name)
	}
	e.words("keys", r.Keys)
	e.words("posts", r.Posts)
	e.words("types", r.Types)
	e.pairStr("adds", choose(r.AddsBehind, addsBehind, addsThrough))
	e.pairStr("queries", choose(r.StaleQueries, queriesStale, queriesFresh))
	e.pair("query_wait_ms", r.QueryWait.Milliseconds())
	e.pair("max_value", r.MaxValue)
}

// Decode implements [Result] and ignores unknown keys.
func (r *DescribeResult) Decode(raw Raw) error {
	*r = DescribeResult{}
	return result(raw, "describe", func(d *decoder, key string) bool {
		switch key {
		case "kind":
			return d.text((*string)(&r.Kind))
		case "table":
			return d.text(&r.Table)
		case "post_types":
			return d.texts(&r.PostTypes)
		case "keys":
			return d.words(&r.Keys)
		case "posts":
			return d.words(&r.Posts)
		case "types":
			return d.words(&r.Types)
		case "adds":
			return isWord(d, addsBehind, &r.AddsBehind)
		case "queries":
			return isWord(d, queriesStale, &r.StaleQueries)
		case "query_wait_ms":
			ms := int64(0)
			ok := d.count(&ms)
			r.QueryWait = time.Duration(ms) * time.Millisecond
			return ok
		case "max_value":
			return d.count(&r.MaxValue)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Kind != "" })
}

// isWord reads whether a text is the given word.
func isWord(d *decoder, word string, into *bool) bool {
	text := ""
	ok := d.text(&text)
	*into = text == word
	return ok
}

func (r *WaitingResult) encode(e *Encoder) {
	e.answer(1, r.Stale)
	e.str("tickets")
	e.array(len(r.Tickets))
	for _, t := range r.Tickets {
		if t == nil {
			e.null()
			continue
		}
		t.encode(e)
	}
}

func (t *WaitingTicket) encode(e *Encoder) {
	if t.Deleted {
		e.mapLen(3)
		e.str("deleted")
		e.bool(true)
	} else {
		e.mapLen(2)
	}
	e.pair("revision", t.Revision)
	e.str("fields")
	e.fields(t.Fields)
}

// Decode implements [Result].
func (r *WaitingResult) Decode(raw Raw) error {
	*r = WaitingResult{}
	return result(raw, "waiting", func(d *decoder, key string) bool {
		switch key {
		case "tickets":
			return list(d, MaxTickets, &r.Tickets, readWaiting)
		case "stale":
			return d.flag(&r.Stale)
		default:
			return d.ignore()
		}
	}, func() bool { return r.Tickets != nil })
}

// readWaiting leaves *into nil for a ticket without pending changes.
func readWaiting(into **WaitingTicket, d *decoder) bool {
	if d.null() {
		return true
	}
	t := &WaitingTicket{}
	*into = t
	err := d.object("ticket", func(key string) bool {
		switch key {
		case "revision":
			return d.count(&t.Revision)
		case "fields":
			return d.ticketFields(&t.Fields)
		case "deleted":
			return d.flag(&t.Deleted)
		default:
			return d.ignore()
		}
	})
	return err == nil && t.Revision > 0
}
