package config_test

import (
	"errors"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
)

// withoutFile is the environment's configuration on a host without a file.
func withoutFile(t *testing.T, environ ...string) (*config.Config, error) {
	t.Helper()
	if _, err := os.Stat(config.DefaultPath); !errors.Is(err, fs.ErrNotExist) {
		t.Skipf("this host has a configuration: %s", config.DefaultPath)
	}
	return config.Load(config.DefaultPath, environ, nil)
}

// A container has no file: the environment alone is a configuration.
func TestEnvironmentWithoutFile(t *testing.T) {
	t.Parallel()
	c, err := withoutFile(t, "TICKETD_SITES_MAIN_DSN=u:p_w@tcp(db:3306)/wp", "TICKETD_SITES_MAIN_ALLOW_USERS=33,82",
		"TICKETD_SITES_MAIN_COLUMNS_SUBJECT=title", "TICKETD_SITES_MAIN_CLIENT_TABLE=*", "TICKETD_SITES_MAIN_TLS=false",
		"TICKETD_SITES_BLOG_2_DSN=u@tcp(db:3306)/wp", "TICKETD_SITES_BLOG_2_ALLOW_USERS=33", "TICKETD_SITES_BLOG_2_TABLE=two",
		"TICKETD_SITES_BLOG_2_KEY_PREFIX=2:", "TICKETD_REDIS_ADDR=redis:6379", "TICKETD_REDIS_SENTINEL_PASSWORD_FILE=",
		"TICKETD_SITE=main", "TICKETD_SOCKET=/run/ticketd/ticketd.sock")
	if err != nil {
		t.Fatal(err)
	}
	main, blog := c.Sites["main"], c.Sites["blog-2"]
	if main.Columns["subject"] != "title" || main.ClientTable != "*" || len(main.AllowUsers) != 2 || c.Redis.Addr != "redis:6379" {
		t.Errorf("site main %+v", main)
	}
	if blog.Table != "two" || blog.KeyPrefix != "2:" {
		t.Errorf("site blog-2 %+v of %v", blog, c.SiteNames())
	}
}

// Kubernetes gives each pod variables of all Services of its namespace, those of a Service with the name ticketd, too: they are
// no keys. Without such a Service they are mistakes.
func TestServicesOfKubernetes(t *testing.T) {
	t.Parallel()
	environ := []string{
		"TICKETD_PORT=tcp://10.0.0.1:9180", "TICKETD_PORT_9180_TCP=tcp://10.0.0.1:9180", "TICKETD_PORT_9180_TCP_ADDR=10.0.0.1",
		"TICKETD_SERVICE_PORT=9180", "TICKETD_SERVICE_PORT_METRICS=9180", "TICKETD_SERVICE_HOST=10.0.0.1",
		"TICKETD_REDIS_PORT=tcp://10.0.0.2:6379", "TICKETD_REDIS_SERVICE_PORT=6379", "TICKETD_REDIS_SERVICE_HOST=10.0.0.2",
		"TICKETD_REDIS_ADDR=ticketd-redis:6379", "TICKETD_SITES_MAIN_DSN=u@tcp(db:3306)/wp", "TICKETD_SITES_MAIN_ALLOW_USERS=33",
	}
	c, err := withoutFile(t, environ...)
	if err != nil {
		t.Fatal(err)
	}
	if c.Redis.Addr != "ticketd-redis:6379" {
		t.Errorf("redis.addr is %q", c.Redis.Addr)
	}
	if _, err := withoutFile(t, "TICKETD_REDIS_PORT=6379", environ[len(environ)-2]); err == nil {
		t.Error("a key that does not exist is accepted")
	}
}

// Without a site in the environment, and at a path that somebody names, a missing file stays an error.
func TestMissingFileIsAnError(t *testing.T) {
	t.Parallel()
	if _, err := withoutFile(t, "TICKETD_REDIS_ADDR=redis:6379"); err == nil || !strings.Contains(err.Error(), "no configuration") {
		t.Errorf("without a site: %v", err)
	}
	_, err := config.Load("/no/such/file", []string{"TICKETD_SITES_MAIN_DSN=u@tcp(db:3306)/wp"}, nil)
	if err == nil || !strings.Contains(err.Error(), "no configuration at /no/such/file") {
		t.Errorf("at a path that somebody names: %v", err)
	}
}

// A mistyped variable is named, with the key that it became.
func TestUnknownVariable(t *testing.T) {
	t.Parallel()
	_, err := withoutFile(t, "TICKETD_SITES_MAIN_DSNN=u@tcp(db:3306)/wp", "TICKETD_REDIS_ADDRR=redis:6379")
	for _, want := range []string{"sites.main.dsnn", "redis.addrr", "of the environment"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// TICKETD_CONFIG_TOML is the file's text; other variables override the text, also for names with a "-" or a "*".
func TestTextOfTheEnvironment(t *testing.T) {
	t.Parallel()
	text := "[redis]\n" + site("blog-*") + "[sites.main_two]\nallow_users = [\"0\"]\nkey_prefix = \"m:\"\n"
	c, err := config.Load("/no/such/file", []string{
		"TICKETD_CONFIG_TOML=" + text, "TICKETD_SITES_BLOG_ALL_LINGER=3s", "TICKETD_SITES_MAIN_TWO_DSN=u@tcp(db:3306)/wp",
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Multisite("blog-*").Linger.Seconds() != 3 || c.Sites["main_two"].DSN == "" || c.Redis.Addr != "127.0.0.1:6379" {
		t.Errorf("%v, %v: %+v", c.Multisites(), c.SiteNames(), c)
	}
	if _, err := config.Load("", []string{"TICKETD_CONFIG_TOML=[daemon]\nsocket = \"rel\"\n"}, nil); err == nil ||
		!strings.Contains(err.Error(), "configuration TICKETD_CONFIG_TOML: 2 mistakes") {
		t.Errorf("the mistakes of the text: %v", err)
	}
}

// Each key has a variable, whatever its type and depth: none is left to a file.
func TestEveryKeyHasAVariable(t *testing.T) {
	t.Parallel()
	for _, key := range allKeys() {
		key = strings.Replace(key, "sites.main.columns", "sites.main.columns.subject", 1)
		variable := "TICKETD_" + strings.ToUpper(strings.NewReplacer(".", "_", "-", "_").Replace(key))
		_, err := config.LoadOpen("", []string{variable + "=no value of most keys"}, nil)
		if err != nil && strings.Contains(err.Error(), "unknown key") {
			t.Errorf("%s does not set %s: %v", variable, key, err)
		}
	}
}

// The variables that the pages and examples name set keys.
func TestExamplesNameVariablesThatExist(t *testing.T) {
	t.Parallel()
	variable, seen := regexp.MustCompile(`TICKETD_[A-Z0-9]+(?:_[A-Z0-9]+)+`), 0
	for _, file := range []string{
		"../../packaging/containers/compose.yaml", "../../packaging/containers/kubernetes.yaml", "../../docs/containers.md",
		"../../docs/configure.md", "../../docs/hosting.md", "../../docs/install.md",
	} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range variable.FindAllString(string(text), -1) {
			if name == "TICKETD_CONFIG_TOML" || strings.HasPrefix(name, "TICKETD_TEST_") {
				continue
			}
			seen++
			if _, err := config.LoadOpen("", []string{name + "="}, nil); err != nil && strings.Contains(err.Error(), "unknown key") {
				t.Errorf("%s names %s: %v", file, name, err)
			}
		}
	}
	if seen < 8 {
		t.Errorf("only %d variables were found", seen)
	}
}
