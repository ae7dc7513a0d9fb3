package e2e

import (
	"path/filepath"
	"strings"
	"testing"
)

// A configuration that names other places than the former one leaves acknowledged changes behind: `status` says where, until
// the configuration is restored and they are flushed.
func TestChangesLeftByAConfiguration(t *testing.T) {
	t.Parallel()
	for name, changed := range map[string]struct {
		options  rigOptions
		from, to string
		says     string
	}{
		"site renamed": {rigOptions{noRedis: true}, "[sites.main]", "[sites.shop]", "pending in the journal DIR/journal/main/mysql"},
		"journal.dir": {
			rigOptions{noRedis: true}, "[journal]\n", "[journal]\ndir = \"DIR/elsewhere\"\n",
			"pending in the journal DIR/journal/main/mysql",
		},
		"key_prefix":         {rigOptions{}, "key_prefix = \"", "key_prefix = \"x", "changes of the site main may be pending in Redis"},
		"Redis is taken out": {rigOptions{}, "[redis]", "[metrics]\n#", "changes of the site main may be pending in Redis"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			changed.options.site = never
			r := newRig(t, changed.options)
			id := mustCreate(t, r.dial(t), "acknowledged")
			r.Kill()
			dir := strings.NewReplacer("DIR", filepath.Dir(r.socket))
			former := r.text
			with := strings.Replace(r.text, changed.from, dir.Replace(changed.to), 1)
			if name == "Redis is taken out" {
				with = strings.Replace(with, "addr =", "# addr =", 1)
			}
			for range 2 { // a restart keeps the warning
				if got := r.warned(t, with); !strings.Contains(got, dir.Replace(changed.says)) {
					t.Errorf("status warns of %q, want %q", got, dir.Replace(changed.says))
				}
				if err := r.Stop(); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.warned(t, former); strings.Contains(got, "pending in") {
				t.Errorf("with the configuration as it was status warns of %q", got)
			}
			c := r.dial(t)
			if flushed(t, c) != 0 || column(t, r.db, "subject", id) != "acknowledged" {
				t.Errorf("the change is not flushed")
			}
			if err := r.Stop(); err != nil {
				t.Fatal(err)
			}
			if got := r.warned(t, with); strings.Contains(got, "pending in") {
				t.Errorf("when all is flushed status warns of %q", got)
			}
		})
	}
}

// warned restarts the daemon with another configuration and returns the warnings of its status.
func (r *rig) warned(t *testing.T, config string) string {
	t.Helper()
	if err := r.WriteConfig(config); err != nil {
		t.Fatal(err)
	}
	if err := r.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	status, err := r.dial(t).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(status.Warnings, "\n")
}
