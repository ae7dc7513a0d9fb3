package config

import (
	_ "embed"
	"flag"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/configure.md anew")

const configurePage = "../../docs/configure.md"

// With -update this test writes docs/configure.md. Keys, defaults and bounds come from the code, so the page
// agrees with the code. A key without a sentence fails here.
func TestConfigurePageSaysWhatTheCodeDoes(t *testing.T) {
	t.Parallel()
	var page strings.Builder
	page.WriteString(configureHead)
	bounds := boundsOfAll()
	seen := 0
	section := func(path, title string, values reflect.Value) {
		page.WriteString("\n## " + title + "\n\n" + sectionNotes[path] +
			"| key | default | may be | what it is |\n| --- | --- | --- | --- |\n")
		for i := range values.NumField() {
			field := values.Type().Field(i)
			if isSection(field.Type) {
				continue
			}
			key := path + "." + field.Tag.Get("toml")
			meaning, there := meanings[key]
			if !there {
				t.Errorf("%s has no sentence: add a sentence to meanings", key)
			}
			seen++
			may := bounds[strings.NewReplacer("sites.NAME", "sites.main", "feeds.NAME", "feeds.crm").Replace(key)]
			if may == "" {
				may = formOf(field.Type)
			}
			fmt.Fprintf(&page, "| `%s` | %s | %s | %s |\n", field.Tag.Get("toml"), shown(values.Field(i)), may, meaning)
		}
	}
	c := Defaults()
	c.Redis.Addr = defaultRedis
	root := reflect.ValueOf(c)
	for i := range root.NumField() {
		if name := root.Type().Field(i).Tag.Get("toml"); name != "sites" && name != "" {
			section(name, "["+name+"]", root.Field(i))
		}
	}
	section("sites.NAME", "[sites.NAME]", reflect.ValueOf(SiteDefaults()))
	section("sites.NAME.feed", "[sites.NAME.feed]", reflect.ValueOf(FeedDefaults()))
	section("sites.NAME.history", "[sites.NAME.history]", reflect.ValueOf(HistoryDefaults()))
	section("sites.NAME.feeds.NAME", "[sites.NAME.feeds.NAME]", reflect.ValueOf(DestinationDefaults()))
	if seen != len(meanings) {
		t.Errorf("%d keys have sentences, %d exist: remove the sentences of removed keys", len(meanings), seen)
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(configurePage, []byte(page.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(configurePage)
	if err != nil || string(text) != page.String() {
		t.Errorf("docs/configure.md is not what the code does (%v): run 'go test ./daemon/config -run ConfigurePage -update'", err)
	}
}

// isSection says whether values of a type have a section of their own.
func isSection(t reflect.Type) bool {
	return t.Kind() == reflect.Struct || t.Kind() == reflect.Map && t.Elem().Kind() == reflect.Struct
}

// boundsOfAll returns the bounds that a check of a configuration with a site, Redis and metrics finds.
func boundsOfAll() map[string]string {
	c := Defaults()
	c.Redis.Addr = defaultRedis
	site := SiteDefaults()
	site.Feeds = map[string]Destination{"crm": DestinationDefaults()}
	c.Sites = map[string]Site{"main": site}
	bounds := make(map[string]string)
	c.check(&checks{bounds: func(key, may string) { bounds[key] = may }})
	return bounds
}

// formOf returns the form of a value of a type without further bounds.
func formOf(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true, false"
	case reflect.Slice:
		return "a list"
	case reflect.Map:
		return "a table"
	default:
		return "text"
	}
}

// shown writes a default as TOML does.
func shown(v reflect.Value) string {
	switch value := v.Interface().(type) {
	case time.Duration:
		return fmt.Sprintf("`%q`", shortDuration(value))
	case []string:
		quoted := make([]string, len(value))
		for i := range value {
			quoted[i] = fmt.Sprintf("%q", value[i])
		}
		return "`[" + strings.Join(quoted, ", ") + "]`"
	case map[string]string:
		return "`{}`"
	case Secret:
		return fmt.Sprintf("`%q`", value.Reveal())
	case string:
		return fmt.Sprintf("`%q`", value)
	default:
		return fmt.Sprintf("`%v`", value)
	}
}

//go:embed testdata/configure.md
var configureHead string

// sectionNotes stand before a section's keys.
var sectionNotes = map[string]string{
	"redis": "Without this section ticketd uses no Redis: changes are pending in this host's journal until they are in MySQL.\n\n",
	"journal": "A log on this host's disk for each site. The journal takes changes while Redis is unreachable, or all changes " +
		"without Redis.\n\n",
	"mysql": "The databases' addresses are in the sites' `dsn`.\n\n",
	"metrics": "Without `web_config` the endpoint has no authentication, so only this host may reach it. See " +
		"[operate.md](operate.md#watching-it).\n\n",
	"sites.NAME.feed": "The changes that wait for the slowest of the site's destinations. A reload applies this section.\n\n",
	"sites.NAME.history": "Who changed which field of a ticket, when, and from what to what: a row for each change in " +
		"`{table}_history`, so that MySQL gets a row for each write: see [feed.md](feed.md#history). A reload applies this " +
		"section.\n\n",
	"sites.NAME.feeds.NAME": "A destination of the site's changes: see [feed.md](feed.md). The name is yours: 1 to 32 letters, " +
		"digits, - or _. A reload applies these sections; the destination's place in the feed stays under its name.\n\n",
	"sites.NAME": "One section for each WordPress, or each blog of a multisite. The name is yours: 1 to 64 of a-z 0-9 _ -; with a " +
		"`*`, as in `[sites.\"blog-*\"]`, the section is for all blogs of a multisite: see " +
		"[sites.md](sites.md#blogs-of-a-multisite).\n\n",
}
