package doctor

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

const metaSite = "kind = \"postmeta\"\npost_types = [\"ticket\"]\nkeys = { status = \"_status\", closed = \"_closed\" }\n" +
	"posts = { updated = \"post_modified\" }\n"

// What keeps a site of post meta from working is found, with a remedy.
func TestFaultsOfPostMeta(t *testing.T) {
	t.Parallel()
	p := newPatient(t, testenv.RedisOptions{})
	p.configure(t, metaSite)
	want := func(check, reason, fix string) {
		t.Helper()
		f := find(p.examine(t.Context()), "mysql", check)
		switch {
		case reason == "" && f != nil:
			t.Errorf("%s: %+v, want ok", check, f)
		case reason != "" && (f == nil || !strings.Contains(f.Reason, reason) || !strings.Contains(f.Fix, fix)):
			t.Errorf("%s: %+v, want %q and %q", check, f, reason, fix)
		}
	}
	want("table", "wp_postmeta", "correct table_prefix")
	p.exec(t, "CREATE TABLE wp_posts (ID bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_type varchar(20) NOT NULL, "+
		"post_modified datetime NOT NULL)",
		"CREATE TABLE wp_postmeta (meta_id bigint unsigned NOT NULL auto_increment PRIMARY KEY, post_id bigint unsigned NOT NULL, "+
			"meta_key varchar(255), meta_value longtext, KEY post_id (post_id), KEY meta_key (meta_key(191)))")
	want("table", "wp_ticketd_revisions", "ticketd migrate")
	p.migrate(t)
	for _, check := range []string{"table", "engine", "binlog", "grants", "keys", "revisions", "ids"} {
		want(check, "", "")
	}
	p.exec(t, "INSERT INTO wp_postmeta (post_id,meta_key) VALUES (1,'_status'),(1,'_status'),(2,'_closed'),(2,'_Closed')")
	want("keys", "_status of 1", "surplus rows")
	p.exec(t, "UPDATE wp_ticketd_revisions SET revision=1", "INSERT INTO wp_ticketd_revisions (post_id,revision) VALUES (1,1<<60)")
	want("revisions", "impossible revision", "dead retry")
	p.exec(t, "ALTER TABLE wp_posts ENGINE=MyISAM")
	want("engine", "wp_posts is MyISAM", "ALTER TABLE wp_posts ENGINE = InnoDB")
	p.exec(t, "ALTER TABLE wp_posts ENGINE=InnoDB", "ALTER TABLE wp_postmeta ENGINE=MyISAM")
	want("engine", "MyISAM", "ALTER TABLE wp_postmeta ENGINE = InnoDB")
	p.exec(t, "ALTER TABLE wp_postmeta ENGINE=InnoDB", "CREATE USER IF NOT EXISTS 'm_{db}'@'%' IDENTIFIED BY 'x'",
		"GRANT SELECT ON {db}.* TO 'm_{db}'@'%'", "GRANT INSERT, UPDATE, DELETE ON {db}.wp_postmeta TO 'm_{db}'@'%'",
		"GRANT INSERT, UPDATE, DELETE ON {db}.wp_ticketd_revisions TO 'm_{db}'@'%'")
	p.login("m_" + p.database + ":x")
	want("grants", "wp_posts", "GRANT SELECT")
}
