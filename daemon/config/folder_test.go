package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
)

// folder writes a configuration and files of sites, and returns the configuration's path.
func folder(t *testing.T, main string, sites map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "sites.d"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "ticketd.toml")
	files := map[string]string{path: main}
	for name, text := range sites {
		files[filepath.Join(dir, "sites.d", name)] = text
	}
	for file, text := range files {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// site is a section of a site of its own database.
func site(name string) string {
	return fmt.Sprintf("[sites.%q]\ndsn = \"u@unix(/db.sock)/%s\"\nallow_users = [\"root\"]\n", name,
		strings.ReplaceAll(name, "*", "all"))
}

func TestSitesOfAFolder(t *testing.T) {
	t.Parallel()
	path := folder(t, "", map[string]string{
		"b.toml": site("b") + "key_prefix = \"b:\"\n", "a.toml": site("a"), ".a.toml": "broken", "a.toml.bak": "broken",
	})
	c, err := config.Load(path, []string{"TICKETD_SITES_B_LINGER=1s"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.SiteNames(), " "); got != "a b" || c.Sites["b"].Linger.Seconds() != 1 {
		t.Errorf("sites %s, %+v", got, c.Sites["b"])
	}
}

// All mistakes of the folder's files are named with the file.
func TestMistakesOfAFolder(t *testing.T) {
	t.Parallel()
	path := folder(t, site("a"), map[string]string{
		"again.toml": site("a"), "redis.toml": "[redis]\n", "broken.toml": "[",
	})
	_, err := config.Load(path, nil, nil)
	for _, want := range []string{
		"again.toml: sites.a is in " + path, "redis.toml: redis: a file in sites.d", "broken.toml is not TOML",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %q", err, want)
		}
	}
}

// A section for all blogs makes a site of each blog; a blog with a section of its own keeps the section.
func TestSectionForAllBlogs(t *testing.T) {
	t.Parallel()
	path := folder(t, site("shop-*")+"linger = \"3s\"\n"+site("shop-3")+"key_prefix = \"three:\"\n", nil)
	c, err := config.Load(path, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if names := c.Multisites(); len(names) != 1 || names[0] != "shop-*" || len(c.Sites) != 1 {
		t.Fatalf("sections for all blogs %v, sites %v", names, c.SiteNames())
	}
	main := c.Sites["shop-3"]
	main.DSN, main.TablePrefix, main.KeyPrefix = c.Multisite("shop-*").DSN, "wp_4_", ""
	c.Sites["main"] = main // has the table of blog 4
	if err := c.Expand(path, map[string][]int64{"shop-*": {1, 2, 3, 4}}); err != nil {
		t.Fatal(err)
	}
	if _, twice := c.Sites["shop-4"]; twice {
		t.Error("a table has two sites")
	}
	for name, want := range map[string][2]string{
		"shop-1": {"shop-1:", "wp_support_tickets"}, "shop-2": {"shop-2:", "wp_2_support_tickets"},
		"shop-3": {"three:", "wp_support_tickets"},
	} {
		s := c.Sites[name]
		if got := [2]string{s.KeyPrefix, s.TableName()}; got != want || (s.Linger.Seconds() == 3) != (name != "shop-3") {
			t.Errorf("%s: %v, want %v; %+v", name, got, want, s)
		}
	}
	for _, wrong := range []string{"key_prefix = \"shop:\"", "table = \"tickets\"", "client_table = \"a.b\"", "batch = 0"} {
		path := folder(t, site("shop-*")+wrong+"\n", nil)
		key, _, _ := strings.Cut(wrong, " ")
		if _, err := config.Load(path, nil, nil); err == nil || !strings.Contains(err.Error(), "sites.shop-*."+key) {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}
