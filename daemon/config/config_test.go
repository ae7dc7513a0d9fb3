package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/daemon/config"
)

const minimal = "[sites.main]\ndsn = \"u:hunter2@unix(/db.sock)/wp\"\n"

func load(t *testing.T, text string, environ, flags []string) (*config.Config, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ticketd.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return config.Load(path, environ, flags)
}

func TestMinimalConfigIsTheDefaults(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := config.Defaults()
	site := config.SiteDefaults()
	site.DSN = "u:hunter2@unix(/db.sock)/wp"
	want.Sites = map[string]config.Site{"main": site}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("got %+v\nwant %+v", *c, want)
	}
	if table := site.TableName(); table != "wp_support_tickets" {
		t.Errorf("table %q", table)
	}
}

// The example shows every key with its default.
func TestExampleShowsEveryKeyWithItsDefault(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/ticketd.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Load("../../docs/ticketd.toml", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	site := config.SiteDefaults()
	site.DSN, site.Columns = c.Sites["main"].DSN, map[string]string{}
	site.PostTypes, site.Keys, site.Posts = []string{}, map[string]string{}, map[string]string{}
	site.AllowGroups, site.Feeds = []string{}, map[string]config.Destination{}
	want := config.Defaults()
	want.Redis.Sentinels, want.Redis.Cluster = []string{}, []string{}
	want.Redis.Addr = "127.0.0.1:6379" // the default of a [redis] section, which the example has
	want.Sites = map[string]config.Site{"main": site}
	if !reflect.DeepEqual(*c, want) {
		t.Errorf("the example is %+v\nthe defaults are %+v", *c, want)
	}
	for _, key := range allKeys() {
		name := key[strings.LastIndex(key, ".")+1:]
		if !strings.Contains(string(text), "\n"+name+" = ") && !strings.Contains(string(text), "."+name+"]") {
			t.Errorf("the example does not show %s", key)
		}
	}
}

// The sections decide: without [redis] the journal is the store and must be enabled.
func TestRedisAndJournalAreOptionalButNotBoth(t *testing.T) {
	t.Parallel()
	c, err := load(t, minimal, nil, nil)
	if err != nil || c.HasRedis() || c.JournalDir("main") != "/var/lib/ticketd/journal/main/mysql" {
		t.Errorf("without [redis]: %v, journal in %q, want none and the folder of the site", err, c.JournalDir("main"))
	}
	c, err = load(t, minimal+"[redis]\n[journal]\nenabled = false\n", nil, nil)
	if err != nil || c.Redis.Addr != "127.0.0.1:6379" || c.JournalDir("main") != "" {
		t.Errorf("with an empty [redis] and no journal: %v, %+v", err, c)
	}
	for _, text := range []string{
		minimal + "[journal]\nenabled = false\n", minimal + "[daemon]\nstate_dir = \"\"\n",
		minimal + "ack = \"journal\"\n[redis]\n[journal]\nenabled = false\n",
	} {
		if _, err := load(t, text, nil, nil); err == nil || !strings.Contains(err.Error(), "journal.enabled") {
			t.Errorf("error %v, want one that says how to have a journal, for\n%s", err, text)
		}
	}
}

func TestPrecedence(t *testing.T) {
	t.Parallel()
	text := minimal + "linger = \"1s\"\nperiod = \"2s\"\n[redis]\naddr = \"file:1\"\ndb = 1\npool_size = 1\n"
	environ := []string{"TICKETD_REDIS_DB=2", "TICKETD_REDIS_POOL_SIZE=2", "TICKETD_SITES_MAIN_PERIOD=3s", "PATH=/bin",
		"TICKETD_SITES_MAIN_ALLOW_USERS=root,0"}
	c, err := load(t, text, environ, []string{"redis.pool_size=3"})
	if err != nil {
		t.Fatal(err)
	}
	site := c.Sites["main"]
	if c.Redis.Addr != "file:1" || c.Redis.DB != 2 || c.Redis.PoolSize != 3 {
		t.Errorf("redis %+v: want the address from the file, the database from the environment, the pool from the flag", c.Redis)
	}
	if site.Linger != time.Second || site.Period != 3*time.Second || len(site.AllowUsers) != 2 {
		t.Errorf("site %+v", site)
	}
}

// wrong has, for each key, a value to refuse. A key missing here fails the test below.
var wrong = map[string]string{
	"daemon.socket": `"run/t.sock"`, "daemon.socket_mode": `"rw"`, "daemon.socket_group": `"no such group"`,
	"daemon.max_connections": "0", "daemon.idle_timeout": "60", "daemon.request_timeout": `"0s"`,
	"daemon.shutdown_timeout": `"soon"`, "daemon.state_dir": `"here"`,
	"daemon.spool_dir": `"spool"`, "daemon.spool_group": `"no such group"`,
	"log.level": `"loud"`, "log.format": `"xml"`,
	"redis.addr": `"nowhere"`, "redis.username": `"only"`, "redis.password": "[1]", "redis.password_file": `"/no/such/file"`,
	"redis.db": "-1", "redis.pool_size": "true", "redis.dial_timeout": `"1h"`, "redis.read_timeout": `"0s"`,
	"redis.write_timeout": "1.5",
	"redis.sentinels":     `["here"]`, "redis.master_name": `"alone"`, "redis.sentinel_username": `"only"`,
	"redis.sentinel_password": `"hunter2"`, "redis.sentinel_password_file": `"credential:none"`, "redis.cluster": `["a:1", ":2"]`,
	"redis.tls": `"maybe"`, "redis.tls_ca": `"/no/such/ca"`, "redis.tls_cert": `"/no/such/cert"`, "redis.tls_key": `"/no/such/key"`,
	"redis.tls_server_name": `"redis"`,
	"mysql.max_connections": "1",
	"journal.enabled":       `"maybe"`, "journal.dir": `"here"`, "journal.fsync": `"sometimes"`, "journal.fsync_interval": `"0s"`,
	"metrics.listen": `"0.0.0.0:9100"`, "metrics.pprof": "true", "metrics.web_config": `"metrics.yml"`,
	"journal.max_bytes": "1", "journal.max_entries": "0", "journal.max_requests": "999", "sites.main.ack": `"mysql"`,
	"sites.main.tls":    "true", // over a Unix socket
	"sites.main.tls_ca": `"/no/such/ca"`, "sites.main.tls_cert": `"/no/such/cert"`, "sites.main.tls_key": `"/no/such/key"`,
	"sites.main.tls_server_name": `"mysql"`,
	"sites.main.dsn":             `"hunter2"`, "sites.main.dsn_file": `"/no/such/file"`, "sites.main.table_prefix": "\"wp`\"",
	"sites.main.table": `"a b"`, "sites.main.key_column": `""`, "sites.main.revision_column": `"x;y"`,
	"sites.main.columns": `{ status = "a b" }`, "sites.main.key_prefix": `"{t}"`,
	"sites.main.allow_users": `["no such user"]`, "sites.main.allow_groups": `["no such group"]`,
	"sites.main.client_table": `"wp_support_tickets"`,
	"sites.main.strategy":     `"sometimes"`, "sites.main.linger": `"2m"`, "sites.main.period": `"1ms"`,
	"sites.main.close_field": `""`, "sites.main.close_statuses": "[]", "sites.main.max_age": `"0s"`,
	"sites.main.batch": "1001", "sites.main.lease": `"1ms"`, "sites.main.clean_ttl": `"0s"`, "sites.main.id_block": "0",
	"sites.main.kind": `"posts"`, "sites.main.preset": `"zendesk"`, "sites.main.post_types": `["ticket"]`,
	"sites.main.keys": `{ status = "_status" }`, "sites.main.posts": `{ status = "post_status" }`,
	"sites.main.adds": `"later"`, "sites.main.queries": `"old"`, "sites.main.query_wait": `"1h"`,
	"sites.main.max_dirty": "-1", "sites.main.feeds": `"crm"`, // TestMistakesInDestinationsAreNamed has the keys below
	"sites.main.feed.enabled": `"perhaps"`, "sites.main.feed.max_events": "10", "sites.main.feed.max_bytes": "10",
	"sites.main.feed.keep": `"999h"`, "sites.main.feed.omit": "7",
	"sites.main.history.enabled": `"perhaps"`, "sites.main.history.keep": `"1m"`, "sites.main.history.omit": "7",
}

func TestEveryKeyRefusesAWrongValueByName(t *testing.T) {
	t.Parallel()
	for _, key := range allKeys() {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			value, there := wrong[key]
			if !there {
				t.Fatalf("no wrong value for %s is known: add one", key)
			}
			dsn := "sites.main.dsn = \"u:hunter2@unix(/db.sock)/wp\"\n"
			if strings.HasPrefix(key, "sites.main.dsn") {
				dsn = ""
			}
			_, err := load(t, fmt.Sprintf("%s%s = %s\n", dsn, key, value), nil, nil)
			if err == nil || !strings.Contains(err.Error(), key) {
				t.Fatalf("error %v, want one that names %s", err, key)
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

// A command line may not carry a secret, so SecretKey must know all secrets.
func TestSecretKeys(t *testing.T) {
	t.Parallel()
	secret := reflect.TypeFor[config.Secret]()
	for section, of := range map[string]reflect.Type{
		"redis.": reflect.TypeFor[config.Redis](), "sites.main.": reflect.TypeFor[config.Site](),
		"daemon.": reflect.TypeFor[config.Daemon](), "metrics.": reflect.TypeFor[config.Metrics](),
	} {
		for field := range of.Fields() {
			if key := section + field.Tag.Get("toml"); config.SecretKey(key) != (field.Type == secret) {
				t.Errorf("%s is a secret: %v", key, config.SecretKey(key))
			}
		}
	}
}

// allKeys returns the keys of the structs.
func allKeys() []string {
	var keys []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for field := range t.Fields() {
			if !field.IsExported() {
				continue
			}
			key := path + field.Tag.Get("toml")
			switch {
			case field.Type.Kind() == reflect.Struct:
				walk(field.Type, key+".")
			case key == "sites":
				walk(field.Type.Elem(), "sites.main.")
			default:
				keys = append(keys, key)
			}
		}
	}
	walk(reflect.TypeFor[config.Config](), "")
	return keys
}

func TestEveryMistakeIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load(t, "[daemon]\nsoket = \"/x\"\nmax_connections = \"many\"\n[sites.main]\ndns = \"x\"\nlinger = 5\n"+
		"allow_users = 3\nbatch = \"x\"\n", nil, nil)
	if err == nil {
		t.Fatal("no error")
	}
	for _, part := range []string{
		"daemon.soket: unknown key", "daemon.max_connections: a whole number is expected",
		"sites.main.dns: unknown key", "sites.main.dsn: is missing", "sites.main.linger: 5 has no unit",
		"sites.main.allow_users: ", "sites.main.batch: ",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in:\n%v", part, err)
		}
	}
}

func TestSitesThatWouldMixAreRefused(t *testing.T) {
	t.Parallel()
	const two = "[sites.a]\ndsn = \"u@unix(/db.sock)/wp\"\nkey_prefix = \"%s\"\n[sites.b]\ndsn = \"u@unix(/db.sock)/wp\"\n" +
		"key_prefix = \"%s\"\ntable = \"%s\"\n"
	if _, err := load(t, fmt.Sprintf(two, "a:", "b:", "wp_other"), nil, nil); err != nil {
		t.Errorf("two sites apart: %v", err)
	}
	_, err := load(t, fmt.Sprintf(two, "", "", "wp_other"), nil, nil)
	if err == nil || !strings.Contains(err.Error(), "key_prefix") {
		t.Errorf("the same keys: %v", err)
	}
	if _, err := load(t, fmt.Sprintf(two, "a:", "b:", ""), nil, nil); err == nil || !strings.Contains(err.Error(), "table") {
		t.Errorf("the same table: %v", err)
	}
}

func TestSecretsComeFromFilesAndAreNeverShown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "dsn")
	if err := os.WriteFile(file, []byte("u:hunter2@unix(/db.sock)/wp\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := load(t, fmt.Sprintf("[sites.main]\ndsn_file = %q\n", file), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Sites["main"].DSN.Reveal(); got != "u:hunter2@unix(/db.sock)/wp" {
		t.Errorf("DSN %q", got)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(verb, *c); strings.Contains(shown, "hunter2") {
			t.Errorf("%s shows the secret: %s", verb, shown)
		}
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	t.Parallel()
	if _, err := config.Load("/no/such/ticketd.toml", nil, nil); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("error %v", err)
	}
}

func TestSyntaxErrorSaysWhere(t *testing.T) {
	t.Parallel()
	_, err := load(t, "[sites.main]\ndsn = \"hunter2\n", nil, nil)
	if err == nil || !strings.Contains(err.Error(), "line 2") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v, want one that names line 2 and shows no secret", err)
	}
}

func TestFlagWithoutEqualsIsNotRepeated(t *testing.T) {
	t.Parallel()
	_, err := load(t, minimal, nil, []string{"redis.password:hunter2"})
	if err == nil || !strings.Contains(err.Error(), "key=value") || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("error %v, want the form of a flag and no secret", err)
	}
}
