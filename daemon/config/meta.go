package config

import (
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/charset"
)

// The kinds of sites.
const (
	KindTable    = "table"
	KindPostMeta = "postmeta"
	KindUserMeta = "usermeta"
)

// The settings of sites with meta.
const (
	AddsBehind   = "behind"
	AddsThrough  = "through"
	QueriesFresh = "fresh"
	QueriesStale = "stale"
)

// preset is what a help desk keeps in meta.
type preset struct {
	postTypes []string
	keys      map[string]map[string]string // by kind
}

// presets by name. A key that a plugin writes seldom, or in several rows of a post, is left to WordPress.
var presets = map[string]preset{
	"awesome-support": {
		postTypes: []string{"ticket"},
		keys: map[string]map[string]string{
			KindPostMeta: {
				"status": "_wpas_status", "assignee": "_wpas_assignee", "waiting": "_wpas_is_waiting_client_reply",
				"last_reply": "_wpas_last_reply_date", "last_reply_gmt": "_wpas_last_reply_date_gmt",
				"replies": "_wpas_ttl_replies", "replies_agent": "_wpas_ttl_replies_by_agent",
				"replies_customer": "_wpas_ttl_replies_by_customer",
				"closed_on":        "_ticket_closed_on", "closed_on_gmt": "_ticket_closed_on_gmt",
			},
			KindUserMeta: {"open_tickets": "wpas_open_tickets"},
		},
	},
	"kb-support": {postTypes: []string{"article"}, keys: map[string]map[string]string{KindPostMeta: articleViews(time.Now())}},
}

// articleViews are KB Support's counters of an article: its views, and those of a month, under a key of their own each month. The
// months are those of last year, this year and the next; WordPress counts the views of further months itself.
func articleViews(now time.Time) map[string]string {
	const key = "_kbs_article_views"
	keys := map[string]string{"views": key}
	for month := time.Date(now.Year()-1, time.January, 1, 0, 0, 0, 0, time.UTC); month.Year() <= now.Year()+1; {
		name := month.Format("2006-01")
		keys["views-"+name] = key + "_" + name
		month = month.AddDate(0, 1, 0)
	}
	return keys
}

// IsMeta says that the site's tickets are WordPress' posts or users, and their fields values of meta keys.
func (s *Site) IsMeta() bool { return s.Kind == KindPostMeta || s.Kind == KindUserMeta }

// MetaKeys are the meta keys by field: the configured keys, or the preset's.
func (s *Site) MetaKeys() map[string]string {
	if len(s.Keys) > 0 || !s.IsMeta() {
		return s.Keys
	}
	keys := maps.Clone(presets[s.Preset].keys[s.Kind])
	if s.Kind == KindUserMeta {
		for field, key := range keys {
			keys[field] = s.TablePrefix + key // update_user_option() puts the blog's prefix before the key
		}
	}
	return keys
}

// MetaPostTypes are the types of the posts: the configured types, or the preset's.
func (s *Site) MetaPostTypes() []string {
	if len(s.PostTypes) > 0 || s.Kind != KindPostMeta {
		return s.PostTypes
	}
	return presets[s.Preset].postTypes
}

// MetaPosts are the columns of wp_posts by field.
func (s *Site) MetaPosts() map[string]string { return s.Posts }

const (
	maxMetaFields = 128 // of a ticket in a request
	maxMetaField  = 64  // characters of a field
	maxPostType   = 20  // characters of a post type
	maxMetaKey    = 255 // characters of the column
	maxQueryWait  = 10 * time.Second
)

// shownColumns are the columns of wp_posts that a site may write.
var shownColumns = []string{"post_status", "post_modified", "post_modified_gmt", "post_title"}

func (s *Site) validateKind(c *checks, key string) {
	c.oneOf(key+"kind", s.Kind, KindTable, KindPostMeta, KindUserMeta)
	names := append([]string{""}, slices.Sorted(maps.Keys(presets))...)
	c.oneOf(key+"preset", s.Preset, names...)
	c.oneOf(key+"adds", s.Adds, AddsBehind, AddsThrough)
	c.oneOf(key+"queries", s.Queries, QueriesFresh, QueriesStale)
	c.duration(key+"query_wait", s.QueryWait, 0, maxQueryWait)
	usual := SiteDefaults()
	without := func(name string, given bool, kind string) {
		if given {
			c.failf(key+name, "has no effect with kind = %q%s", s.Kind, kind)
		}
	}
	if !s.IsMeta() {
		const set = ": set kind to postmeta or usermeta, or remove the key"
		without("preset", s.Preset != "", set)
		without("post_types", len(s.PostTypes) > 0, set)
		without("keys", len(s.Keys) > 0, set)
		without("posts", len(s.Posts) > 0, set)
		without("adds", s.Adds != usual.Adds, set)
		without("queries", s.Queries != usual.Queries, set)
		without("query_wait", s.QueryWait != usual.QueryWait, set)
		return
	}
	const remove = ", whose table is WordPress' own: remove the key"
	without("table", s.Table != "", remove)
	without("key_column", s.KeyColumn != usual.KeyColumn, remove)
	without("revision_column", s.RevisionColumn != usual.RevisionColumn, remove)
	without("columns", len(s.Columns) > 0, remove)
	const noFeed = ": only tables of tickets have a feed: remove the section"
	without("history", s.History.Enabled, noFeed)
	without("feeds", len(s.Feeds) > 0, noFeed)
	s.validateMeta(c, key)
}

// validateMeta checks which values of which posts the site manages.
func (s *Site) validateMeta(c *checks, key string) {
	s.validatePostTypes(c, key)
	keys := s.MetaKeys()
	fields := maps.Clone(s.Posts)
	if fields == nil {
		fields = map[string]string{}
	}
	maps.Copy(fields, keys)
	switch {
	case len(fields) == 0 && s.Preset != "":
		c.failf(key+"preset", "%q names no keys for kind = %q: give keys", s.Preset, s.Kind)
	case len(fields) == 0:
		c.failf(key+"keys", "is empty: name the fields with their meta keys, as in status = \"_my_status\", or a preset")
	case len(fields) > maxMetaFields:
		c.failf(key+"keys", "%d fields; a ticket has at most %d", len(fields), maxMetaFields)
	}
	validateNames(c, key+"keys.", keys, metaKeyFault)
	validateNames(c, key+"posts.", s.Posts, func(column string) string {
		if !slices.Contains(shownColumns, column) {
			return "is not one of the columns " + strings.Join(shownColumns, ", ")
		}
		return ""
	})
	if _, there := fields[s.CloseField]; !there && s.Strategy == StrategyOnClose {
		c.failf(key+"close_field", "%q is no field of keys or posts", s.CloseField)
	}
}

func (s *Site) validatePostTypes(c *checks, key string) {
	if s.Kind == KindUserMeta {
		if len(s.PostTypes) > 0 {
			c.failf(key+"post_types", "users have no type: remove the key")
		}
		if len(s.Posts) > 0 {
			c.failf(key+"posts", "is for kind = %q alone: remove the key", KindPostMeta)
		}
	} else if len(s.MetaPostTypes()) == 0 {
		c.failf(key+"post_types", "is empty: name the types of the posts, as in post_types = [\"ticket\"], or a preset")
	}
	for _, name := range s.PostTypes {
		if !charset.Only(name, maxPostType, charset.Lower+"_-") {
			c.failf(key+"post_types", "%q is no post type: 1 to 20 of a-z 0-9 _ -", name)
		}
	}
}

// metaKeyFault says why a text is no meta key.
func metaKeyFault(metaKey string) string {
	if metaKey == "" || utf8.RuneCountInString(metaKey) > maxMetaKey || !utf8.ValidString(metaKey) ||
		strings.ContainsFunc(metaKey, func(r rune) bool { return r < ' ' }) {
		return "is no meta key: 1 to 255 characters of UTF-8"
	}
	return ""
}

// validateNames checks a map of fields to keys or columns. fault says what is wrong with one of these.
func validateNames(c *checks, key string, names map[string]string, fault func(string) string) {
	taken := map[string]string{} // fields by folded name
	for _, field := range slices.Sorted(maps.Keys(names)) {
		name := names[field]
		if !charset.Only(field, maxMetaField, charset.Letters+"_-") || field[0] == '_' {
			c.failf(key+field, "a field's name is 1 to 64 of A-Z a-z 0-9 _ - and does not begin with _")
		}
		if why := fault(name); why != "" {
			c.failf(key+field, "%q %s", name, why)
		}
		if other, twice := taken[strings.ToLower(name)]; twice {
			c.failf(key+field, "%q is also the field %q's: MySQL does not tell upper from lower case here", name, other)
		}
		taken[strings.ToLower(name)] = field
	}
}
