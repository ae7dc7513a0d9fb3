package postmeta

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ticketd/ticketd/sync/mysql"
	"github.com/ticketd/ticketd/sync/table"
)

// MaxValue bounds the bytes of a value.
const MaxValue = 1 << 20

// Type names the tables and columns of a type of meta, without the prefix.
type Type struct {
	Table, Key, ID string // the meta table, its column of the object's id, and its own id
	Owner, OwnerID string // the objects
	Side           string
}

// The types of meta.
var (
	Post = Type{Table: "postmeta", Key: "post_id", ID: "meta_id", Owner: "posts", OwnerID: "ID", Side: "ticketd_revisions"}
	User = Type{Table: "usermeta", Key: "user_id", ID: "umeta_id", Owner: "users", OwnerID: "ID", Side: "ticketd_user_revisions"}
)

const (
	keyColumn   = "meta_key"
	valueColumn = "meta_value"
	typeColumn  = "post_type"
)

// Config says which values of which objects a site manages.
type Config struct {
	Type   Type
	Prefix string // of the tables' names
	// PostTypes are the types of the posts; empty for every object.
	PostTypes []string
	// Keys maps fields to meta keys, Posts maps fields to columns of the objects' table. A field may be in both.
	Keys, Posts map[string]string
}

func (c *Config) meta() string  { return c.Prefix + c.Type.Table }
func (c *Config) owner() string { return c.Prefix + c.Type.Owner }
func (c *Config) side() string  { return c.Prefix + c.Type.Side }

// Tables are the tables on which the site depends; all must be InnoDB.
func (c *Config) Tables() []string { return []string{c.meta(), c.owner(), c.side()} }

// Fields are the names of all fields, sorted.
func (c *Config) Fields() []string {
	names := maps.Clone(c.Keys)
	if names == nil {
		names = map[string]string{}
	}
	maps.Copy(names, c.Posts)
	return slices.Sorted(maps.Keys(names))
}

// Name is the name of the table by which clients name the site, and Key its column of the ticket's id, for [mysql.Config].
func (c *Config) Name() (table, key string) { return c.meta(), c.Type.Key }

// Layout describes the site's tables for [mysql.Config].
func (c *Config) Layout() *mysql.Layout {
	return &mysql.Layout{
		Needs: []string{c.meta(), c.owner()}, Side: c.side(), Assemble: c.assemble,
		Create: "CREATE TABLE " + mysql.Quote(c.side()) + " (\n" +
			"  " + mysql.Quote(c.Type.Key) + " bigint unsigned NOT NULL,\n" +
			"  `revision` bigint unsigned NOT NULL,\n" +
			"  `deleted` tinyint NOT NULL DEFAULT 0,\n" +
			"  PRIMARY KEY (" + mysql.Quote(c.Type.Key) + ")\n" +
			") ENGINE=InnoDB",
	}
}

// assemble makes the definition: a column for each field, sorted by name.
func (c *Config) assemble(of []mysql.TableColumns) (*table.Definition, error) {
	meta, owner := of[0], of[1]
	for _, name := range []string{c.Type.ID, c.Type.Key, keyColumn, valueColumn} {
		if _, there := meta[name]; !there {
			return nil, fmt.Errorf("%s has no column %s: it is not WordPress' table", c.meta(), name)
		}
	}
	if len(c.PostTypes) > 0 {
		if _, there := owner[typeColumn]; !there {
			return nil, fmt.Errorf("%s has no column %s: it is not WordPress' table", c.owner(), typeColumn)
		}
	}
	d := &table.Definition{}
	for _, field := range c.Fields() {
		column := meta[valueColumn]
		column.Name, column.Exact = c.Keys[field], true
		if column.Kind == table.Text {
			column.MaxBytes = min(column.MaxBytes, MaxValue)
		}
		if name, shown := c.Posts[field]; shown { // its type is the stricter
			var there bool
			if column, there = owner[name]; !there {
				return nil, fmt.Errorf("%s has no column %s, which the configuration names for the field %q", c.owner(), name, field)
			}
		}
		column.Field, column.Default = field, table.Default{Source: table.NullValue}
		d.Columns = append(d.Columns, column)
	}
	return d, nil
}

// in writes a list of n placeholders.
func in(n int) string { return "(" + strings.Repeat("?,", n-1) + "?)" }
