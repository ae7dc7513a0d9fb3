package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/version"
	"github.com/ticketd/ticketd/sync/mysql"
)

func TestMain(m *testing.M) { testenv.Main(m) }

// patient is a healthy set-up until a test changes it.
type patient struct {
	dir      string
	redis    *testenv.Redis
	mariadb  *testenv.MariaDB
	database string
	config   *config.Config
	root     string // of the machine's configuration
}

// newPatient makes a set-up with its own Redis and a migrated table, without a daemon.
func newPatient(t *testing.T, redis testenv.RedisOptions) *patient {
	t.Helper()
	p := &patient{dir: testenv.Folder(t), root: t.TempDir()}
	if redis.Config == nil {
		redis.Config = []string{"appendonly yes"}
	}
	p.redis = testenv.NewRedis(t, redis)
	p.mariadb, p.database = testenv.SharedMariaDB(t)
	p.configure(t, "")
	p.migrate(t)
	return p
}

// text returns the configuration, with further TOML for its site.
func (p *patient) text(site string) string {
	return fmt.Sprintf("[daemon]\nsocket = %q\nstate_dir = %q\nspool_dir = %q\n[redis]\naddr = %q\n[sites.main]\ndsn = %q\n"+
		"allow_users = [\"root\"]\n%s\n", p.path("d.sock"), p.path("state"), p.path("spool"), "unix://"+p.redis.Socket(),
		p.mariadb.DSN(p.database), site)
}

func (p *patient) path(name string) string { return filepath.Join(p.dir, name) }

func (p *patient) configure(t *testing.T, site string) {
	t.Helper()
	file := p.path("doctor.toml")
	if err := os.WriteFile(file, []byte(p.text(site)), 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if p.config, err = config.Load(file, nil, nil); err != nil {
		t.Fatal(err)
	}
}

func (p *patient) migrate(t *testing.T) {
	t.Helper()
	db, err := boot.OpenDatabase(p.config.Sites["main"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Migrate(t.Context(), mysql.MigrateOptions{History: p.config.Sites["main"].History.Enabled}); err != nil {
		t.Fatal(err)
	}
}

// exec runs statements in the patient's database.
func (p *patient) exec(t *testing.T, statements ...string) {
	t.Helper()
	db := p.mariadb.DB(t, p.database)
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), strings.ReplaceAll(statement, "{db}", p.database)); err != nil {
			t.Fatal(err)
		}
	}
}

// login puts another user into the site's DSN.
func (p *patient) login(userAndPassword string) {
	site := p.config.Sites["main"]
	site.DSN = config.Secret(strings.Replace(site.DSN.Reveal(), "root@", userAndPassword+"@", 1))
	p.config.Sites["main"] = site
}

func (p *patient) examine(ctx context.Context) []Finding {
	return Run(ctx, Options{Config: p.config, User: "0", Version: version.String(), Root: p.root})
}

// find returns the finding of a check that is not ok.
func find(found []Finding, area, check string) *Finding {
	for i := range found {
		if f := &found[i]; f.Area == area && f.Check == check && f.Verdict != OK {
			return f
		}
	}
	return nil
}
