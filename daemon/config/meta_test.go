package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

func TestMetaSites(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal+"kind = \"postmeta\"\npreset = \"awesome-support\"\n"+
		"[sites.users]\ndsn = \"u@unix(/db.sock)/wp\"\nkey_prefix = \"u:\"\nkind = \"usermeta\"\npreset = \"awesome-support\"\n"+
		"[sites.own]\ndsn = \"u@unix(/db.sock)/wp\"\nkey_prefix = \"o:\"\ntable_prefix = \"o_\"\nkind = \"postmeta\"\n"+
		"preset = \"awesome-support\"\npost_types = [\"issue\"]\nkeys.state = \"_state\"\nposts.state = \"post_status\"\n"+
		"posts.changed = \"post_modified\"\n"+
		"[sites.tickets]\ndsn = \"u@unix(/db.sock)/wp\"\nkey_prefix = \"t:\"\n", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	site := func(name string) *config.Site { s := c.Sites[name]; return &s }
	if s := site("main"); s.TableName() != "wp_postmeta" || len(s.MetaKeys()) != 10 || s.MetaKeys()["status"] != "_wpas_status" ||
		strings.Join(s.MetaPostTypes(), ",") != "ticket" {
		t.Errorf("main: %s, %v, %v", s.TableName(), s.MetaKeys(), s.MetaPostTypes())
	}
	if s := site("users"); s.TableName() != "wp_usermeta" || len(s.MetaKeys()) != 1 || len(s.MetaPostTypes()) != 0 {
		t.Errorf("users: %s, %v, %v", s.TableName(), s.MetaKeys(), s.MetaPostTypes())
	}
	if s := site("own"); len(s.MetaKeys()) != 1 || strings.Join(s.MetaPostTypes(), ",") != "issue" || len(s.MetaPosts()) != 2 {
		t.Errorf("own: %v, %v", s.MetaKeys(), s.MetaPostTypes())
	}
}

// KB Support counts an article's views in all and those of each month, in the month's own key.
func TestViewCountersOfKBSupport(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal+"kind = \"postmeta\"\npreset = \"kb-support\"\n", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	site := c.Sites["main"]
	keys := site.MetaKeys()
	for _, month := range []time.Time{time.Now().UTC(), time.Now().UTC().AddDate(0, 0, 40)} {
		name := month.Format("2006-01")
		if keys["views-"+name] != "_kbs_article_views_"+name {
			t.Errorf("no counter of %s: %v", name, keys)
		}
	}
	if len(keys) != 37 || keys["views"] != "_kbs_article_views" || site.MetaPostTypes()[0] != "article" {
		t.Errorf("%d keys, %v", len(keys), site.MetaPostTypes())
	}
}

func TestMistakesOfMetaSitesAreNamed(t *testing.T) {
	t.Parallel()
	for text, part := range map[string]string{
		`kind = "postmeta"`: "sites.main.post_types: is empty",
		`kind = "postmeta"
		 post_types = ["t"]`: "sites.main.keys: is empty",
		`kind = "usermeta"
		 preset = "kb-support"`: "sites.main.preset: ",
		`kind = "usermeta"
		 post_types = ["t"]
		 keys.a = "a"`: "sites.main.post_types: users have no type",
		`kind = "usermeta"
		 keys.a = "a"
		 posts.a = "post_status"`: "sites.main.posts: is for kind",
		`kind = "postmeta"
		 post_types = ["Ticket"]
		 keys.a = "a"`: "sites.main.post_types: \"Ticket\" is no post type",
		`kind = "postmeta"
		 post_types = ["t"]
		 keys._a = "a"`: "sites.main.keys._a: a field's name",
		`kind = "postmeta"
		 post_types = ["t"]
		 keys.a = ""`: "sites.main.keys.a: \"\" is no meta key",
		`kind = "postmeta"
		 post_types = ["t"]
		 keys.a = "_x"
		 keys.b = "_X"`: "sites.main.keys.b: \"_X\" is also the field \"a\"'s",
		`kind = "postmeta"
		 post_types = ["t"]
		 keys.a = "_x"
		 posts.b = "ID"`: "sites.main.posts.b: \"ID\" is not one of the columns",
		`kind = "postmeta"
		 post_types = ["t"]
		 keys.a = "_x"
		 table = "x"
		 columns.a = "b"
		 key_column = "id"`: "sites.main.key_column: has no effect with kind = \"postmeta\"",
		`kind = "postmeta"
		 post_types = ["t"]
		 keys.a = "_x"
		 strategy = "on_close"`: "sites.main.close_field: \"status\" is no field",
		`kind = "postmeta"
		 preset = "awesome-support"
		 history.enabled = true`: "sites.main.history: has no effect",
		`adds = "through"`: "sites.main.adds: has no effect with kind = \"table\"",
	} {
		if _, err := load(t, minimal+text+"\n", nil, nil); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s:\n%v\nwant %s", text, err, part)
		}
	}
	two := minimal + "kind = \"postmeta\"\npreset = \"awesome-support\"\n" +
		"[sites.b]\ndsn = \"u@unix(/db.sock)/wp\"\nkey_prefix = \"b:\"\n" +
		"kind = \"postmeta\"\npreset = \"kb-support\"\n"
	_, err := load(t, two, nil, nil)
	if err == nil || !strings.Contains(err.Error(), "sites.main.table: is also the table of sites.b") {
		t.Errorf("two sites of one table: %v", err)
	}
}

// A preset's user meta are user options, whose keys WordPress stores with the blog's prefix.
func TestPresetOfUserMetaHasThePrefix(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal+"kind = \"usermeta\"\npreset = \"awesome-support\"\ntable_prefix = \"shop_\"\n", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	site := c.Sites["main"]
	if key := site.MetaKeys()["open_tickets"]; key != "shop_wpas_open_tickets" {
		t.Errorf("the key is %q, want shop_wpas_open_tickets", key)
	}
}
