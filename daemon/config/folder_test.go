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

// What is wrong in a file of the folder is named with the file, whatever is wrong.
func TestMistakesNameTheirFile(t *testing.T) {
	t.Parallel()
	const taken = `"" is also the key_prefix of sites.a: the two sites would use the same Redis keys`
	for text, want := range map[string]string{
		"[sites.q]\ndns = \"u@unix(/db.sock)/q\"\n": "sites.q.dns: unknown key (in %s)",
		"[[sites.q]]\n":    "sites.q: a table is expected here, not a list (in %s)",
		"[sites]\nq = 3\n": "sites.q: a table is expected here, not a whole number (in %s)",
		"sites = 3\n":      "configuration %s: sites: a file in sites.d has sections [sites.NAME] alone",
		site("b"):          "sites.b.key_prefix: " + taken + " (in %s)",
		site("q-*") + "table = \"fixed\"\n": "sites.q-*.table: \"fixed\" is the same for all blogs; " +
			"write * where the blog's number belongs (in %s)",
		strings.Repeat("# a long comment\n", 1024*1024): "reading the configuration: %s is longer than 16777216 bytes",
	} {
		path := folder(t, site("a"), map[string]string{"q.toml": text})
		file := filepath.Join(filepath.Dir(path), "sites.d", "q.toml")
		_, err := config.Load(path, nil, nil)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf(want, file)) {
			t.Errorf("%.40s: %v; want "+want, text, err, file)
		}
	}
}

// A file that is none neither holds the reader nor fills its memory, and a link to nothing is not taken for the configuration.
func TestFilesThatAreNone(t *testing.T) {
	t.Parallel()
	path := folder(t, site("a"), nil)
	file := filepath.Join(filepath.Dir(path), "sites.d", "q.toml")
	for target, want := range map[string]string{
		"/dev/zero": "a device, not a regular file", "/nonexistent": "q.toml: no such file", "/": "a folder, not a regular file",
	} {
		if err := os.Symlink(target, file); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load(path, nil, nil); err == nil || !strings.Contains(err.Error(), want) ||
			strings.Contains(err.Error(), "no configuration at") {
			t.Errorf("%s: %v; want %q", target, err, want)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := config.Load(path, nil, []string{"sites.a.dsn_file=/dev/zero", "sites.a.dsn="}); err == nil ||
		!strings.Contains(err.Error(), "sites.a.dsn_file: cannot read the file: /dev/zero is a device") {
		t.Errorf("a device as dsn_file: %v", err)
	}
}

// An editor of Windows begins a file with a byte order mark, and ends lines with CR LF.
func TestByteOrderMark(t *testing.T) {
	t.Parallel()
	path := folder(t, "\uFEFF"+strings.ReplaceAll(site("a"), "\n", "\r\n"), nil)
	if c, err := config.Load(path, nil, nil); err != nil || c.Sites["a"].AllowUsers[0] != "root" {
		t.Errorf("%+v, %v", c, err)
	}
}

// A configuration without sections of sites is not one without sites.
func TestSitesThatAreNoTable(t *testing.T) {
	t.Parallel()
	path := folder(t, "sites = 3\n", map[string]string{"a.toml": site("a")})
	if _, err := config.Load(path, nil, nil); err == nil || !strings.Contains(err.Error(), "sites: a table is expected here") {
		t.Errorf("%v", err)
	}
}
