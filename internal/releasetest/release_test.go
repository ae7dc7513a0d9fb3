package releasetest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const version = "9.8.7"

// need skips the test unless `make test-release` runs it.
func need(t *testing.T) {
	t.Helper()
	if os.Getenv("TICKETD_TEST_RELEASE") == "" {
		t.Skip("'make test-release' runs this: it builds all files of a release")
	}
}

// checkout is a clone of this repository.
type checkout struct {
	t    *testing.T
	dir  string
	home string // for the keys of gpg
}

// clone clones the present commit; the versions in the clone's files are not the release's yet.
func clone(t *testing.T) *checkout {
	t.Helper()
	c := &checkout{t: t, dir: filepath.Join(t.TempDir(), "ticketd"), home: t.TempDir()}
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	c.in(top, "git", "clone", "--quiet", "--no-tags", "--shared", top, c.dir)
	return c
}

// run runs a command that must succeed in the clone.
func (c *checkout) run(args ...string) string {
	c.t.Helper()
	return c.in(c.dir, args...)
}

func (c *checkout) in(dir string, args ...string) string {
	c.t.Helper()
	out, err := c.try(dir, args...)
	if err != nil {
		c.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (c *checkout) try(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(c.t.Context(), args[0], args[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GNUPGHOME="+c.home, "DIST="+c.dist(), "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com",
		"GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

func (c *checkout) dist() string { return filepath.Join(filepath.Dir(c.dir), "dist") }

// name gives the files of the clone the release's version.
func (c *checkout) name() {
	c.t.Helper()
	for file, change := range map[string][2]string{
		"CHANGELOG.md":                   {"(?m)^## Unreleased$", "## Unreleased\n\n## " + version + " - 2027-01-31"},
		"php-client/ticketd/ticketd.php": {`(?m)^ \* Version:           .*$`, " * Version:           " + version},
		"php-client/ticketd/readme.txt":  {`(?m)^Stable tag: .*$`, "Stable tag: " + version},
	} {
		path := filepath.Join(c.dir, file)
		text, err := os.ReadFile(path)
		if err != nil {
			c.t.Fatal(err)
		}
		changed := regexp.MustCompile(change[0]).ReplaceAll(text, []byte(change[1]))
		if err := os.WriteFile(path, changed, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
	c.run("git", "commit", "--quiet", "--all", "--message", "Version "+version)
}

// Nothing is made of a commit that is no release.
func TestWhatIsNoRelease(t *testing.T) {
	t.Parallel()
	need(t)
	c := clone(t)
	refused := func(want string) {
		t.Helper()
		if out, err := c.try(c.dir, "packaging/release.sh", "amd64"); err == nil || !strings.Contains(out, want) {
			t.Errorf("%v; want %q in\n%s", err, want, out)
		}
		if _, err := os.Stat(c.dist()); err == nil {
			t.Error("something was made")
		}
	}
	refused("no tag")
	c.run("git", "tag", "v"+version)
	refused("CHANGELOG.md has no section '## " + version)
	c.name()
	c.run("git", "tag", "--force", "v"+version)
	if err := os.WriteFile(filepath.Join(c.dir, "README.md"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("not committed")
}

// The files of a release, as those who install it see them.
func TestRelease(t *testing.T) {
	t.Parallel()
	need(t)
	c := clone(t)
	c.name()
	c.run("git", "tag", "v"+version)
	c.run("gpg", "--batch", "--passphrase", "", "--quick-generate-key", "ticketd-test", "default", "default", "never")
	secret, public := filepath.Join(c.home, "minisign.key"), filepath.Join(c.home, "minisign.pub")
	c.run("minisign", "-G", "-W", "-s", secret, "-p", public)
	c.run("env", "MINISIGN_KEY="+secret, "APT_KEY=ticketd-test", "packaging/release.sh", "amd64")

	dist := c.dist()
	c.in(dist, "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
	c.in(dist, "minisign", "-V", "-p", public, "-m", "SHA256SUMS")
	sums := read(t, filepath.Join(dist, "SHA256SUMS"))
	for _, file := range []string{
		"ticketd_" + version + "_amd64.deb", "ticketd-" + version + "-1.x86_64.rpm", "ticketd_" + version + "_amd64.oci.tar",
		"ticketd_" + version + "_amd64.cdx.json", "ticketd.zip", "composer/ticketd-client-" + version + ".zip", "NOTES.md",
		"apt/dists/stable/InRelease", "apt/dists/stable/main/binary-amd64/Packages.gz",
	} {
		if !strings.Contains(sums, "  "+file+"\n") {
			t.Errorf("no checksum of %s in\n%s", file, sums)
		}
	}
	c.materials(t)
	c.apt(t)
	c.rpm(t)
	if text := read(t, filepath.Join(c.dist(), "NOTES.md")); !strings.Contains(text, "### ") || strings.Contains(text, "\n## ") {
		t.Errorf("the notes are %d bytes: not the section of the version", len(text))
	}
}

// Every module that Go wrote into the program is in the bill, and has its licence in the package.
func (c *checkout) materials(t *testing.T) {
	t.Helper()
	var bill struct {
		BOMFormat  string `json:"bomFormat"` //nolint:tagliatelle // CycloneDX's name
		Components []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			Hashes  []any  `json:"hashes"`
		} `json:"components"`
	}
	if err := json.Unmarshal([]byte(read(t, filepath.Join(c.dist(), "ticketd_"+version+"_amd64.cdx.json"))), &bill); err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	c.in(c.dist(), "dpkg-deb", "--extract", "ticketd_"+version+"_amd64.deb", root)
	has := make(map[string]bool)
	for _, component := range bill.Components {
		has[component.Name+" "+component.Version] = len(component.Hashes) > 0 || component.Name == "std"
	}
	licences := read(t, filepath.Join(root, "usr/share/doc/ticketd/THIRD-PARTY-LICENSES.txt"))
	modules := 0
	for line := range strings.Lines(c.in(root, "go", "version", "-m", "usr/bin/ticketd")) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "dep" {
			modules++
			if name := fields[1] + " " + fields[2]; !has[name] || !strings.Contains(licences, "\n"+name+"\n") {
				t.Errorf("%s: in the bill: %t", name, has[name])
			}
		}
	}
	if bill.BOMFormat != "CycloneDX" || modules < 30 {
		t.Errorf("a %q of %d modules", bill.BOMFormat, modules)
	}
}

// apt takes the repository from a folder, checks its signature, and would install the package.
func (c *checkout) apt(t *testing.T) {
	t.Helper()
	repository := filepath.Join(c.dist(), "apt")
	for _, source := range []struct{ name, options string }{
		{"signed", "signed-by=" + filepath.Join(repository, "ticketd.gpg")}, {"unsigned", "trusted=yes"},
	} {
		root := t.TempDir()
		for _, dir := range []string{"etc/apt/preferences.d", "state/lists/partial", "cache/archives/partial", "dpkg"} {
			if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
				t.Fatal(err)
			}
		}
		list := "deb [arch=amd64 " + source.options + "] file:" + repository + " stable main\n"
		for file, text := range map[string]string{"etc/apt/sources.list": list, "dpkg/status": ""} {
			if err := os.WriteFile(filepath.Join(root, file), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		apt := func(args ...string) string {
			return c.in(root, append([]string{
				"apt-get", "-q", "-o", "Dir::Etc=" + root + "/etc/apt", "-o", "Dir::State=" + root + "/state",
				"-o", "Dir::State::status=" + root + "/dpkg/status", "-o", "Dir::Cache=" + root + "/cache",
				"-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=root", "-o", "Dir::Etc::sourceparts=/dev/null",
				"-o", "Acquire::Languages=none",
			}, args...)...)
		}
		apt("update", "--error-on=any")
		apt("download", "ticketd")
		if got := c.in(root, "sh", "-c", "dpkg-deb -f ticketd_*.deb Version"); got != version {
			t.Errorf("%s: apt gets version %q", source.name, got)
		}
	}
}

// rpm reads the package, whose files and scripts are RHEL's.
func (c *checkout) rpm(t *testing.T) {
	t.Helper()
	file := "ticketd-" + version + "-1.x86_64.rpm"
	query := func(args ...string) string {
		return c.in(c.dist(), append(append([]string{"rpm", "--query", "--package"}, args...), file)...)
	}
	if got := query("--queryformat", "%{VERSION}-%{RELEASE} %{ARCH} %{LICENSE}"); got != version+"-1 x86_64 GPL-3.0-or-later" {
		t.Errorf("it is %s", got)
	}
	if got := query("--configfiles"); got != "/etc/ticketd/ticketd.toml" {
		t.Errorf("its configuration is %q", got)
	}
	scripts := query("--scripts")
	for _, want := range []string{
		"postinstall scriptlet", "preuninstall scriptlet", "postuninstall scriptlet",
		"posttrans scriptlet",
	} {
		if !strings.Contains(scripts, want) {
			t.Errorf("no %s in\n%s", want, scripts)
		}
	}
	if strings.Contains(scripts, "deb-systemd") {
		t.Error("its scripts are Debian's")
	}
	c.in(c.dist(), "rpm", "--checksig", "--nosignature", file)
	root := t.TempDir()
	c.in(c.dist(), "rpm", "--root", root, "--dbpath", "/rpmdb", "--install", "--nodeps", "--noscripts", "--ignorearch", file)
	for path, want := range map[string]string{
		"usr/lib/sysusers.d/ticketd.conf":               "g apache 48",
		"usr/lib/systemd/system/ticketd.socket":         "SocketGroup=apache",
		"etc/ticketd/ticketd.toml":                      `["apache"]`,
		"usr/lib/systemd/system/ticketd-feed@.service":  "User=apache",
		"usr/share/licenses/ticketd/GPL-3.0.txt":        "Version 3",
		"usr/share/doc/ticketd/copyright":               "Apache License 2.0",
		"usr/lib/systemd/system/ticketd.service":        "ExecStart=/usr/bin/ticketd",
		"usr/share/doc/ticketd/examples/ticketd.openrc": "openrc-run",
	} {
		if text := read(t, filepath.Join(root, path)); !strings.Contains(text, want) || strings.Contains(text, "www-data\n") {
			t.Errorf("%s is\n%s", path, text)
		}
	}
	if got := c.in(root, "usr/bin/ticketd", "version"); !strings.Contains(got, version) {
		t.Errorf("the program is %s", got)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
