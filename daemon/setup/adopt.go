package setup

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/sync/mysql"
)

// adopted are the lines of the configuration that say which table the site has.
type adopted struct {
	Table, Key string // empty for the standard ones
	Columns    []mapping
}

// mapping is a field and the column that holds it.
type mapping struct{ Field, Column string }

// Mappings are the columns as an inline table of TOML. Names that would have to be quoted are never among them.
func (a *adopted) Mappings() string {
	pairs := make([]string, len(a.Columns))
	for i, m := range a.Columns {
		pairs[i] = fmt.Sprintf("%s = %q", m.Field, m.Column)
	}
	return "{ " + strings.Join(pairs, ", ") + " }"
}

// lines are those of the configuration, for people to read.
func (a *adopted) lines() string {
	var b strings.Builder
	if a.Table != "" {
		fmt.Fprintf(&b, "    table = %q\n", a.Table)
	}
	if a.Key != "" {
		fmt.Fprintf(&b, "    key_column = %q\n", a.Key)
	}
	if len(a.Columns) > 0 {
		fmt.Fprintf(&b, "    columns = %s\n", a.Mappings())
	}
	return b.String()
}

// standardKey is what the daemon takes for the ticket's id where it is not told otherwise.
const standardKey = "ticket_id"

// adopt looks whether another plugin has a table of this name already. Such a table is used only if the operator says so.
func (o *Options) adopt(ctx context.Context, dsn, prefix string) (*adopted, error) {
	name := o.Table
	if name == "" {
		name = prefix + "support_tickets"
	}
	db, err := mysql.Open(mysql.Config{DSN: dsn, Table: name})
	if err != nil {
		return nil, fmt.Errorf("the table named by table_prefix in wp-config.php, or by --table, cannot be used: %w", err)
	}
	defer func() { _ = db.Close() }()
	if err := db.Ping(ctx); err != nil {
		return nil, fmt.Errorf("the database that wp-config.php names cannot be used: %w", err)
	}
	found, err := db.Inspect(ctx)
	if err != nil {
		return nil, err
	}
	a := &adopted{Table: o.Table}
	if !found.There || found.Ours {
		return a, nil
	}
	if found.Key != "" && found.Key != standardKey {
		a.Key = found.Key
	}
	a.Columns = guess(found)
	switch {
	case !o.Adopt:
		return nil, &strangerError{name: name, found: found, proposal: a, own: prefix + "ticketd_tickets"}
	case found.Key == "":
		return nil, fmt.Errorf("%s cannot be adopted: it has no integer column with a unique index of its own, which a ticket's "+
			"id needs; --table %sticketd_tickets makes a table of ticketd's own", name, prefix)
	}
	o.Say("%s is not ticketd's and is never altered; its revisions are kept in %s_ticketd. Look through key_column and "+
		"columns in %s",
		name, name, o.Config)
	return a, nil
}

// strangerError stops init at a table that ticketd did not make.
type strangerError struct {
	name     string
	found    *mysql.Found
	proposal *adopted
	own      string // a name for a table of ticketd's own
}

func (e *strangerError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is there already, and ticketd did not make it. Its columns:\n", e.name)
	for _, c := range e.found.Columns {
		fmt.Fprintf(&b, "    %s %s\n", c.Name, c.Type)
	}
	if e.found.Key == "" {
		b.WriteString("It cannot be used as it is: it has no integer column with a unique index of its own, which a ticket's id " +
			"needs.\n")
	} else {
		b.WriteString("ticketd can use it and never alters it: revisions are kept beside it, in " + e.name + "_ticketd. " +
			"Nothing is done before you choose:\n  --adopt uses the table")
		if lines := e.proposal.lines(); lines != "" {
			b.WriteString(", with these lines in the configuration, a guess from its columns' names:\n" + lines)
		} else {
			b.WriteString("; its columns have the names of ticketd's fields\n")
		}
	}
	fmt.Fprintf(&b, "  --table %s makes a table of ticketd's own beside it", e.own)
	return b.String()
}

// Unwrap lets tests and callers tell this error from others.
func (*strangerError) Unwrap() error { return errStranger }

var errStranger = errors.New("the table is not ticketd's")

// synonyms are, for each of ticketd's fields, the names under which other plugins have it, the likeliest first.
var synonyms = []struct {
	field string
	names []string
}{
	{"customer_id", []string{"customer", "user_id", "author_id", "requester_id", "client_id", "created_by", "author", "user"}},
	{"subject", []string{"title", "summary", "topic", "ticket_subject", "name"}},
	{"status", []string{"state", "ticket_status", "status_id"}},
	{"category", []string{"category_id", "department", "department_id", "ticket_category", "queue", "type"}},
	{"priority", []string{"priority_id", "ticket_priority", "urgency", "severity"}},
	{"assigned_to", []string{"agent_id", "assigned_agent", "assignee_id", "assignee", "staff_id", "assigned", "agent", "owner_id"}},
	{"created_at", []string{"date_created", "created", "created_on", "date_added", "create_time", "opened_at"}},
	{"updated_at", []string{"date_updated", "updated", "updated_on", "last_updated", "modified", "date_modified",
		"last_modified", "update_time"}},
	{"deleted_at", []string{"date_deleted", "deleted_on", "deleted_time", "trashed_at"}},
}

// plainName is a column's name that the configuration takes.
var plainName = regexp.MustCompile(`^[A-Za-z0-9_$]{1,64}$`)

// guess maps ticketd's fields to columns of other names, as far as the names tell. A column is used once.
func guess(found *mysql.Found) []mapping {
	taken := []string{strings.ToLower(found.Key)}
	column := func(name string) (string, bool) {
		i := slices.IndexFunc(found.Columns, func(c mysql.FoundColumn) bool { return strings.EqualFold(c.Name, name) })
		if i < 0 || !plainName.MatchString(found.Columns[i].Name) {
			return "", false
		}
		return found.Columns[i].Name, true
	}
	var all []mapping
	for _, s := range synonyms {
		if _, there := column(s.field); there {
			continue
		}
		for _, name := range s.names {
			have, there := column(name)
			if there && !slices.Contains(taken, name) {
				all, taken = append(all, mapping{s.field, have}), append(taken, name)
				break
			}
		}
	}
	return all
}
