package doctor

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/store/wal"
	"github.com/ticketd/ticketd/sync/mysql"
)

// A healthy set-up has only ok findings, so the faults below come from the planted changes.
func TestNothingIsWrong(t *testing.T) {
	t.Parallel()
	p := newPatient(t, testenv.RedisOptions{})
	testenv.NewTicketd(t, testenv.TicketdOptions{Config: p.text("")})
	found := p.examine(t.Context())
	for i := range found {
		if found[i].Verdict != OK || found[i].Fix != "" {
			t.Errorf("%+v", found[i])
		}
	}
	for _, area := range []string{"config", "socket", "redis", "mysql", "journal", "spool", "php"} {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Area == area }) {
			t.Errorf("nothing is said of the %s", area)
		}
	}
	if Worst(found) != OK {
		t.Errorf("the worst is %s", Worst(found))
	}
}

// Before the first start the doctor finds no fault in what that start makes: socket, state folder, journal, the users' folders.
func TestBeforeTheFirstStart(t *testing.T) {
	t.Parallel()
	found := newPatient(t, testenv.RedisOptions{}).examine(t.Context())
	for i := range found {
		if found[i].Verdict == Fail {
			t.Errorf("%+v", found[i])
		}
	}
	if f := find(found, "socket", "daemon"); f == nil || f.Verdict != Warn {
		t.Errorf("it is not said that the daemon was never started: %+v", f)
	}
}

// started leaves the files of a daemon that was started once.
func started(t *testing.T, p *patient) {
	t.Helper()
	mkdir(t, p.path("state"), 0o700)
	if err := os.WriteFile(p.path("state/main.identity.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// fault is a planted change, and the finding expected from the change.
type fault struct {
	redis       testenv.RedisOptions
	plant       func(*testing.T, *patient)
	area, check string
	verdict     Verdict
	fix         string // a part of the remedy
}

var faults = map[string]fault{
	"no daemon":     {plant: started, area: "socket", check: "daemon", verdict: Fail, fix: "systemctl start ticketd"},
	"no daemon yet": {area: "socket", check: "daemon", verdict: Warn, fix: "systemctl start ticketd"},
	"a daemon that died": {plant: func(t *testing.T, p *patient) {
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.path("d.sock")})
		if err != nil {
			t.Fatal(err)
		}
		l.SetUnlinkOnClose(false)
		_ = l.Close()
	}, area: "socket", check: "daemon", verdict: Fail, fix: "systemctl start ticketd"},
	"an open socket": {plant: func(t *testing.T, p *patient) {
		testenv.NewTicketd(t, testenv.TicketdOptions{Config: strings.Replace(p.text(""), "[redis]", "socket_mode = \"0666\"\n[redis]",
			1)})
	}, area: "socket", check: "mode", verdict: Warn, fix: "daemon.socket_mode"},
	"PHP outside the socket's group": {plant: func(t *testing.T, p *patient) {
		testenv.NewTicketd(t, testenv.TicketdOptions{Config: p.text("")})
		allow(p, "nobody")
	}, area: "php", check: "group", verdict: Fail, fix: "SocketGroup="},
	"nobody may": {plant: func(_ *testing.T, p *patient) { allow(p) }, area: "php", check: "allow_users", verdict: Fail,
		fix: "allow_users"},
	"no msgpack in PHP": {plant: func(t *testing.T, p *patient) { mkdir(t, p.root+"/etc/php/8.2/fpm/conf.d", 0o700) },
		area: "php", check: "msgpack", verdict: Warn, fix: "apt install php8.2-msgpack"},

	"a history without its table": {plant: func(_ *testing.T, p *patient) {
		follow(p, func(s *config.Site) { s.History.Enabled = true })
	}, area: "feed", check: "history", verdict: Warn, fix: "ticketd migrate --site main"},
	"a destination that does not answer": {plant: func(_ *testing.T, p *patient) {
		follow(p, func(s *config.Site) {
			s.Feeds = map[string]config.Destination{"crm": webhook("http://127.0.0.1:1/hooks", "")}
		})
	}, area: "feed", check: "destination", verdict: Warn, fix: "ticketd feed test crm"},
	"a secret that everybody can read": {plant: func(t *testing.T, p *patient) {
		file := p.path("secret")
		if err := os.WriteFile(file, []byte("whsec_"), 0o644); err != nil {
			t.Fatal(err)
		}
		follow(p, func(s *config.Site) {
			s.Feeds = map[string]config.Destination{"crm": webhook("http://127.0.0.1:1/hooks", file)}
		})
	}, area: "feed", check: "secret", verdict: Warn, fix: "chmod o-r"},

	"no Redis": {plant: func(_ *testing.T, p *patient) { p.redis.Kill() }, area: "redis", check: "reach", verdict: Fail,
		fix: "start Redis"},
	"two Redis behind one address": {plant: func(t *testing.T, p *patient) {
		p.config.Redis.Addr = goRound(t, p.redis.Socket(), testenv.NewRedis(t, testenv.RedisOptions{}).Socket())
	}, area: "redis", check: "processes", verdict: Fail, fix: "redis.addr"},
	"no password for Redis": {redis: testenv.RedisOptions{Password: "x"}, area: "redis", check: "password", verdict: Fail,
		fix: "redis.password_file"},
	"a wrong password for Redis": {redis: testenv.RedisOptions{Password: "x"}, plant: func(_ *testing.T, p *patient) {
		p.config.Redis.Password = "y"
	}, area: "redis", check: "password", verdict: Fail, fix: "redis.password_file"},
	"TLS against a port without": {redis: testenv.RedisOptions{TCP: true, Config: []string{"appendonly yes"}},
		plant: func(_ *testing.T, p *patient) { p.config.Redis.Addr, p.config.Redis.TLS = p.redis.Addr(), true },
		area:  "redis", check: "tls", verdict: Fail, fix: "remove redis.tls"},
	"no TLS against a port with": {plant: func(t *testing.T, p *patient) {
		p.redis = testenv.NewRedis(t, testenv.RedisOptions{Certificates: testenv.NewCertificates(t)})
		p.config.Redis.Addr = p.redis.Addr()
	}, area: "redis", check: "tls", verdict: Fail, fix: "redis.tls = true"},
	"a CA that is not trusted": {plant: func(t *testing.T, p *patient) {
		p.redis = testenv.NewRedis(t, testenv.RedisOptions{Certificates: testenv.NewCertificates(t)})
		p.config.Redis.Addr, p.config.Redis.TLS = p.redis.Addr(), true
	}, area: "redis", check: "tls", verdict: Fail, fix: "redis.tls_ca"},
	"no certificate of the client": {plant: func(t *testing.T, p *patient) {
		certificates := testenv.NewCertificates(t)
		p.redis = testenv.NewRedis(t, testenv.RedisOptions{Certificates: certificates})
		p.config.Redis.Addr, p.config.Redis.TLS, p.config.Redis.TLSCA = p.redis.Addr(), true, certificates.CA
	}, area: "redis", check: "tls", verdict: Fail, fix: "redis.tls_cert"},
	"protected mode": {plant: func(t *testing.T, p *patient) {
		listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() { // as Redis answers another host
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Write([]byte("-DENIED Redis is running in protected mode because protected mode is enabled …\r\n"))
				_ = conn.Close()
			}
		}()
		p.config.Redis.Addr = listener.Addr().String()
	}, area: "redis", check: "protected-mode", verdict: Fail, fix: "requirepass"},
	"a database that Redis does not have": {plant: func(_ *testing.T, p *patient) { p.config.Redis.DB = 16 },
		area: "redis", check: "database", verdict: Fail, fix: "redis.db"},
	"a user who may not SELECT": {redis: lines("appendonly yes", "user default on nopass ~* +@all -select"),
		plant: func(_ *testing.T, p *patient) { p.config.Redis.DB = 3 },
		area:  "redis", check: "database", verdict: Fail, fix: "+select"},
	"too many clients of Redis": {redis: lines("appendonly yes", "maxclients 1"), plant: func(t *testing.T, p *patient) {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", p.redis.Socket())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
	}, area: "redis", check: "clients", verdict: Fail, fix: "maxclients"},
	"a policy that evicts all": {redis: lines("appendonly yes", "maxmemory-policy allkeys-lru"),
		area: "redis", check: "maxmemory-policy", verdict: Fail, fix: "volatile-lru"},
	"no append-only file": {redis: lines("appendonly no"), area: "redis", check: "persistence", verdict: Warn,
		fix: "appendonly yes"},
	"a replica": {redis: lines("appendonly yes", "replicaof 127.0.0.1 1"), area: "redis", check: "role", verdict: Fail,
		fix: "master"},
	"a full Redis": {redis: lines("appendonly yes", "maxmemory 600kb"), area: "redis", check: "memory", verdict: Fail,
		fix: "maxmemory"},
	"a user without rights": {redis: lines("appendonly yes", "user default on nopass ~* +@all -@scripting"),
		area: "redis", check: "rights", verdict: Fail, fix: "ACL SETUSER"},
	"a command that is renamed": {redis: lines("appendonly yes", `rename-command HINCRBY ""`),
		area: "redis", check: "rights", verdict: Fail, fix: "rename-command"},
	"a user who may not write what scripts write": {redis: lines("appendonly yes", "user default on nopass ~* +@all -zadd"),
		area: "redis", check: "rights", verdict: Fail, fix: "ACL SETUSER"},
	"a cluster without slots": {redis: lines("appendonly yes", "cluster-enabled yes"), area: "redis", check: "cluster",
		verdict: Fail,
		fix:     "--cluster fix"},

	"another password of MySQL": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "CREATE USER {db}_a@localhost IDENTIFIED BY 'right'")
		p.login(p.database + "_a:hunter2")
	}, area: "mysql", check: "login", verdict: Fail, fix: "wp-config.php"},
	"an expired password": {plant: func(t *testing.T, p *patient) {
		p.server(t, "--disconnect-on-expired-password=ON")
		p.exec(t, "CREATE USER old@localhost IDENTIFIED BY 'x' PASSWORD EXPIRE", "GRANT ALL ON *.* TO old@localhost")
		p.login("old:x")
	}, area: "mysql", check: "login", verdict: Fail, fix: "PASSWORD EXPIRE NEVER"},
	"a locked account": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "CREATE USER {db}_c@localhost ACCOUNT LOCK")
		p.login(p.database + "_c")
	}, area: "mysql", check: "login", verdict: Fail, fix: "ACCOUNT UNLOCK"},
	"a limit per hour": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "CREATE USER {db}_d@localhost WITH MAX_QUERIES_PER_HOUR 1", "GRANT ALL ON {db}.* TO {db}_d@localhost")
		p.login(p.database + "_d")
	}, area: "mysql", check: "limits", verdict: Fail, fix: "MAX_QUERIES_PER_HOUR 0"},
	"TLS that MySQL does not speak": {plant: func(t *testing.T, p *patient) {
		p.server(t, "--skip-ssl")
		site := p.config.Sites["main"]
		site.DSN = config.Secret(site.DSN.Reveal() + "?tls=skip-verify")
		p.config.Sites["main"] = site
	}, area: "mysql", check: "tls", verdict: Fail, fix: "remove tls="},
	"no rights to read": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "CREATE USER {db}_e@localhost", "GRANT INSERT ON {db}.* TO {db}_e@localhost")
		p.login(p.database + "_e")
	}, area: "mysql", check: "grants", verdict: Fail, fix: "GRANT SELECT"},
	"no such database": {plant: func(_ *testing.T, p *patient) {
		site := p.config.Sites["main"]
		site.DSN = config.Secret(p.mariadb.DSN("no_such_database"))
		p.config.Sites["main"] = site
	}, area: "mysql", check: "login", verdict: Fail, fix: "DB_NAME"},
	"a session that the server refuses": {plant: func(_ *testing.T, p *patient) {
		site := p.config.Sites["main"]
		site.DSN = config.Secret(p.mariadb.DSN(p.database) + "?innodb_lock_wait_timeout='soon'")
		p.config.Sites["main"] = site
	}, area: "mysql", check: "session", verdict: Fail, fix: "init_connect"},
	"no rights to write": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "CREATE USER {db}_b@localhost", "GRANT SELECT ON {db}.* TO {db}_b@localhost")
		p.login(p.database + "_b")
	}, area: "mysql", check: "grants", verdict: Fail, fix: "GRANT"},
	"no table": {plant: func(t *testing.T, p *patient) { p.exec(t, "DROP TABLE wp_support_tickets") },
		area: "mysql", check: "table", verdict: Fail, fix: "ticketd migrate"},
	"a column is gone": {plant: func(t *testing.T, p *patient) { p.exec(t, "ALTER TABLE wp_support_tickets DROP COLUMN subject") },
		area: "mysql", check: "table", verdict: Warn, fix: "ticketd migrate"},
	"a table that locks": {plant: func(t *testing.T, p *patient) { p.exec(t, "ALTER TABLE wp_support_tickets ENGINE = MyISAM") },
		area: "mysql", check: "engine", verdict: Fail, fix: "ENGINE = InnoDB"},
	"a row that is no ticket": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "INSERT INTO wp_support_tickets (ticket_id, created_at, updated_at) VALUES (9223372036854775808, NOW(), NOW())")
	}, area: "mysql", check: "rows", verdict: Warn, fix: "another id"},
	"ids that cannot be kept apart": {plant: func(t *testing.T, p *patient) {
		p.exec(t, "ALTER TABLE wp_support_tickets MODIFY ticket_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT",
			"CREATE TRIGGER no BEFORE INSERT ON wp_support_tickets FOR EACH ROW SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'no'")
	}, area: "mysql", check: "ids", verdict: Fail, fix: "ROLLBACK"},
	"a small packet": {plant: func(t *testing.T, p *patient) { p.server(t, "--max-allowed-packet=2M") },
		area: "mysql", check: "packet", verdict: Warn, fix: "max_allowed_packet"},
	"few connections": {plant: func(t *testing.T, p *patient) { p.server(t, "--max-connections=15") },
		area: "mysql", check: "connections", verdict: Warn, fix: "mysql.max_connections"},
	"few connections for the user": {plant: func(t *testing.T, p *patient) {
		p.server(t)
		p.exec(t, "CREATE USER few@localhost WITH MAX_USER_CONNECTIONS 12", "GRANT ALL ON *.* TO few@localhost")
		p.login("few")
	}, area: "mysql", check: "connections", verdict: Warn, fix: "to 6 or less"},
	"connections that were used up": {plant: func(t *testing.T, p *patient) {
		p.server(t)
		db := p.mariadb.DB(t, p.database)
		db.SetMaxIdleConns(0)
		for range 20 {
			conn, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
		}
		p.exec(t, "SET GLOBAL max_connections = 20")
	}, area: "mysql", check: "connections", verdict: Warn, fix: "pm.max_children"},
	"a read-only server": {plant: func(t *testing.T, p *patient) {
		p.server(t)
		p.exec(t, "SET GLOBAL read_only = 1")
	}, area: "mysql", check: "read-only", verdict: Fail, fix: "read_only = 0"},

	"a damaged journal": {plant: damage, area: "journal", check: "damage", verdict: Fail, fix: "ticketd journal salvage"},
	"somebody else's journal": {plant: func(t *testing.T, p *patient) {
		mkdir(t, p.path("state/journal/main/redis"), 0o700)
		chown(t, p.path("state/journal/main/redis"), 65534)
	}, area: "journal", check: "owner", verdict: Fail, fix: "chown -R"},
	"a journal for all to read": {plant: func(t *testing.T, p *patient) { mkdir(t, p.path("state/journal/main/redis"), 0o755) },
		area: "journal", check: "mode", verdict: Fail, fix: "chmod 0700"},
	"a spool for all": {plant: func(t *testing.T, p *patient) { mkdir(t, p.path("spool"), 0o777) },
		area: "spool", check: "mode", verdict: Fail, fix: "chmod 0711"},
	"a spool that older plugins use": {plant: func(t *testing.T, p *patient) {
		mkdir(t, p.path("spool"), os.ModeSticky|0o771)
	}, area: "spool", check: "shared", verdict: Warn, fix: "chmod 0711"},
	"a spool whose users may move each other's folders": {plant: func(t *testing.T, p *patient) { mkdir(t, p.path("spool"), 0o770) },
		area: "spool", check: "shared", verdict: Fail, fix: "ticketd spool prepare"},
	"a user without a folder in the spool": {plant: func(t *testing.T, p *patient) {
		started(t, p)
		mkdir(t, p.path("spool"), 0o711)
	}, area: "php", check: "spool", verdict: Fail, fix: "ticketd spool prepare"},
	"a user's folder that is another's": {plant: func(t *testing.T, p *patient) {
		mkdir(t, p.path("spool"), 0o711)
		mkdir(t, p.path("spool/64123"), 0o770)
	}, area: "spool", check: "user", verdict: Fail, fix: "ticketd spool prepare"},
	"files that were set aside": {plant: func(t *testing.T, p *patient) {
		mkdir(t, p.path("spool"), 0o700)
		mkdir(t, p.path("spool/bad"), 0o700)
		if err := os.WriteFile(p.path("spool/bad/torn"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}, area: "spool", check: "bad", verdict: Warn, fix: ".reason"},
	"no spool": {plant: func(_ *testing.T, p *patient) { p.config.Daemon.SpoolDir = "" }, area: "spool", check: "there",
		verdict: Warn,
		fix:     "daemon.spool_dir"},
}

// goRound leads each connection to the next of several sockets, as a balancer does, and returns its address.
func goRound(t *testing.T, sockets ...string) string {
	t.Helper()
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	var pumps sync.WaitGroup
	t.Cleanup(func() { _ = listener.Close(); pumps.Wait() })
	pumps.Go(func() {
		for n := 0; ; n++ {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := dialer.DialContext(t.Context(), "unix", sockets[n%len(sockets)])
			if err != nil {
				_ = conn.Close()
				continue
			}
			pumps.Go(func() { _, _ = io.Copy(server, conn); _ = server.Close() })
			pumps.Go(func() { _, _ = io.Copy(conn, server); _ = conn.Close() })
		}
	})
	return listener.Addr().String()
}

func TestPlantedFaultsAreFound(t *testing.T) {
	t.Parallel()
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPatient(t, f.redis)
			if f.plant != nil {
				f.plant(t, p)
			}
			found := p.examine(t.Context())
			got := find(found, f.area, f.check)
			if got == nil || got.Verdict != f.verdict || !strings.Contains(got.Fix, f.fix) {
				t.Fatalf("%s, %s is found as %+v, want %s with %q to do; all:\n%+v", f.area, f.check, got, f.verdict, f.fix, found)
			}
			for i := range found {
				if strings.Contains(found[i].Reason+found[i].Fix, "hunter2") {
					t.Errorf("a secret is shown: %+v", found[i])
				}
				if found[i].Verdict != OK && found[i].Fix == "" {
					t.Errorf("nothing is said to be done about %+v", found[i])
				}
			}
		})
	}
}

// A table whose AUTO_INCREMENT gives ids, too, is ok and named.
func TestIDsThatTheTableGivesToo(t *testing.T) {
	t.Parallel()
	p := newPatient(t, testenv.RedisOptions{})
	p.exec(t, "ALTER TABLE wp_support_tickets MODIFY ticket_id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT")
	found := p.examine(t.Context())
	at := slices.IndexFunc(found, func(f Finding) bool { return f.Area == "mysql" && f.Check == "ids" })
	if at < 0 || found[at].Verdict != OK || !strings.Contains(found[at].Reason, "AUTO_INCREMENT") {
		t.Errorf("nothing is said of the ids: %+v", found)
	}
}

// Each mistake of an unusable configuration is a finding.
func TestMistakesOfTheConfigurationAreFindings(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "t.toml")
	if err := os.WriteFile(file, []byte("[daemon]\nsoket = 1\n[sites.main]\nbatch = 0\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := config.Load(file, nil, nil)
	found := Run(t.Context(), Options{LoadError: err})
	if len(found) != 3 || Worst(found) != Fail || !strings.HasPrefix(found[0].Reason, "daemon.soket") {
		t.Errorf("%+v", found)
	}
	found = Run(t.Context(), Options{LoadError: errors.New("no file")})
	if len(found) != 1 || !strings.Contains(found[0].Fix, "ticketd init") {
		t.Errorf("%+v", found)
	}
}

// Root reads every file, so that the files of the configuration are checked with the rights of the daemon's user: the
// configuration, the files in sites.d, secrets. systemd itself reads its credentials.
func TestFilesThatTheDaemonCannotRead(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mkdir(t, filepath.Join(dir, "sites.d"), 0o755)
	for _, folder := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	in := func(name string) string { return filepath.Join(dir, name) }
	for name, text := range map[string]string{
		"t.toml":         "[redis]\npassword_file = \"" + in("password") + "\"\n",
		"password":       "hunter2",
		"sites.d/a.toml": "[sites.a]\ndsn = \"u@unix(/db.sock)/a\"\n",
		"sites.d/b.toml": "[sites.b]\ndsn = \"u@unix(/db.sock)/b\"\nkey_prefix = \"b:\"\n",
	} {
		if err := os.WriteFile(in(name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(in("sites.d/b.toml"), 0o644); err != nil {
		t.Fatal(err)
	}
	c, err := config.Load(in("t.toml"), nil, []string{"sites.a.allow_users=root", "sites.b.allow_users=root"})
	if err != nil {
		t.Fatal(err)
	}
	const nobody = 65534
	e := &exam{Options: Options{Config: c, Path: in("t.toml")}, uid: nobody}
	checkFiles(e)
	reasons := make([]string, len(e.found))
	for i, f := range e.found {
		reasons[i], _, _ = strings.Cut(strings.TrimPrefix(f.Reason, "nobody may not read "+dir+"/"), ":")
		if f.Verdict != Fail || !strings.Contains(f.Fix, "chmod 0640 ") {
			t.Errorf("%+v", f)
		}
	}
	if !slices.Equal(reasons, []string{"password", "sites.d/a.toml", "t.toml"}) {
		t.Errorf("%q", reasons)
	}
	root := &exam{Options: Options{Config: c, Path: in("t.toml")}}
	checkFiles(root)
	if len(root.found) > 0 {
		t.Errorf("root may not read %+v", root.found)
	}
}

// A missing or unreadable fact is never ok.
func TestWhatIsNotReadIsNotOK(t *testing.T) {
	t.Parallel()
	e := &exam{}
	nothing := map[string]string{}
	checkRedisServer(e, nothing)
	checkMemory(e, nothing)
	checkPersistence(e, nothing)
	checkSetAside(e, os.DevNull)
	checkSpace(e, "state", "/no/such/folder")
	if len(e.found) < 6 {
		t.Errorf("%d findings of what is not read: %+v", len(e.found), e.found)
	}
	checkMySQLServer(e, "main", &mysql.Facts{SQLMode: "STRICT_ALL_TABLES", Packet: goodPacket})
	for _, f := range e.found {
		if f.Verdict == OK && f.Check != "sql_mode" && f.Check != "packet" {
			t.Errorf("%+v", f)
		}
	}
}

func lines(config ...string) testenv.RedisOptions { return testenv.RedisOptions{Config: config} }

func allow(p *patient, users ...string) {
	site := p.config.Sites["main"]
	site.AllowUsers = users
	p.config.Sites["main"] = site
}

// server gives the patient its own MariaDB.
func (p *patient) server(t *testing.T, args ...string) {
	t.Helper()
	p.mariadb = testenv.NewMariaDB(t, testenv.MariaDBOptions{Args: args})
	if err := p.mariadb.CreateDatabase(t.Context(), p.database); err != nil {
		t.Fatal(err)
	}
	p.configure(t, "")
	p.migrate(t)
}

func mkdir(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func chown(t *testing.T, path string, uid int) {
	t.Helper()
	if err := os.Chown(path, uid, -1); err != nil {
		t.Fatal(err)
	}
}

// damage changes a byte in the middle of a journal.
func damage(t *testing.T, p *patient) {
	t.Helper()
	dir := p.path("state/journal/main/redis")
	l, _, err := wal.Open(dir, wal.Options{Sync: wal.Never}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := l.Append(make([]byte, 100)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	segments, _ := filepath.Glob(dir + "/*")
	for _, path := range segments {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(data) > 300 {
			data[len(data)-250] ^= 1
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// follow changes the site's history or destinations.
func follow(p *patient, change func(*config.Site)) {
	s := p.config.Sites["main"]
	change(&s)
	p.config.Sites["main"] = s
}

func webhook(url, secretFile string) config.Destination {
	d := config.DestinationDefaults()
	d.URL, d.Secret, d.SecretFile = config.Secret(url), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", secretFile
	return d
}

// A history and a destination that work are said to.
func TestAFeedThatWorks(t *testing.T) {
	t.Parallel()
	p := newPatient(t, testenv.RedisOptions{})
	hooks := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(hooks.Close)
	follow(p, func(s *config.Site) {
		s.History.Enabled = true
		s.Feeds = map[string]config.Destination{"crm": webhook(hooks.URL, "")}
	})
	p.migrate(t)
	found := p.examine(t.Context())
	for _, check := range []string{"history", "destination"} {
		if !slices.ContainsFunc(found, func(f Finding) bool { return f.Area == "feed" && f.Check == check && f.Verdict == OK }) {
			t.Errorf("no good word of the %s: %+v", check, find(found, "feed", check))
		}
	}
}
