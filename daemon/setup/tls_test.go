package setup

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/daemon/boot"
	"github.com/ticketd/ticketd/daemon/config"
	"github.com/ticketd/ticketd/internal/testenv"
	"github.com/ticketd/ticketd/internal/wpconfig"
)

// A MySQL with a private CA that wants client certificates, as managed ones do.
func TestMySQLWithTLS(t *testing.T) {
	t.Parallel()
	files := testenv.NewCertificates(t)
	server := testenv.NewMariaDB(t, testenv.MariaDBOptions{TCP: true, Args: []string{
		"--ssl-ca=" + files.CA, "--ssl-cert=" + files.ServerCert, "--ssl-key=" + files.ServerKey,
	}})
	if err := server.CreateDatabase(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	pool := server.DB(t, "shop")
	for _, statement := range []string{
		"CREATE USER plain@'%' IDENTIFIED BY 'p' REQUIRE SSL", "CREATE USER strict@'%' IDENTIFIED BY 'p' REQUIRE X509",
		"GRANT ALL ON shop.* TO plain@'%'", "GRANT ALL ON shop.* TO strict@'%'",
		"CREATE TABLE wp_options (option_name VARCHAR(191) PRIMARY KEY, option_value TEXT)",
		"INSERT INTO wp_options VALUES ('siteurl', 'https://shop.example.com')",
	} {
		if _, err := pool.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	dsn := func(user string) config.Secret {
		return config.Secret(fmt.Sprintf("%s:p@tcp(%s)/shop", user, server.Addr()))
	}
	for name, test := range map[string]struct {
		site config.Site
		want string // in the error; empty for none
	}{
		"without TLS":     {config.Site{DSN: dsn("plain")}, "Access denied"},
		"with another CA": {config.Site{DSN: dsn("plain"), TLS: true}, "unknown authority"},
		"with the CA":     {config.Site{DSN: dsn("plain"), TLS: true, TLSCA: files.CA}, ""},
		"without its own": {config.Site{DSN: dsn("strict"), TLS: true, TLSCA: files.CA}, "Access denied"},
		"with another name": {config.Site{DSN: dsn("plain"), TLS: true, TLSCA: files.CA, TLSServerName: "db.example.com"},
			"not db.example.com"},
		"with the right name": {config.Site{DSN: dsn("plain"), TLS: true, TLSCA: files.CA, TLSServerName: "localhost"}, ""},
		"with its certificate": {config.Site{
			DSN: dsn("strict"), TLS: true, TLSCA: files.CA, TLSCert: files.ClientCert, TLSKey: files.ClientKey,
		}, ""},
	} {
		s := config.SiteDefaults()
		s.DSN, s.TLS, s.TLSCA, s.TLSCert, s.TLSKey = test.site.DSN, test.site.TLS, test.site.TLSCA, test.site.TLSCert, test.site.TLSKey
		s.TLSServerName = test.site.TLSServerName
		db, err := boot.OpenDatabase(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Ping(t.Context()); (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
		_ = db.Close()
	}

	s := newSite(t)
	s.wp = fmt.Sprintf("<?php define('DB_NAME','shop'); define('DB_USER','plain'); define('DB_PASSWORD','p'); "+
		"define('DB_HOST','%s');\n"+
		"define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL); $table_prefix = 'wp_';", server.Addr())
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "--mysql-ca FILE") {
		t.Errorf("error %v", err)
	}
	s.MySQLCA = files.CA
	c, err := s.run(t.Context(), t)
	if err != nil || !c.Sites["main"].TLS || c.Sites["main"].TLSCA != files.CA {
		t.Errorf("%+v, %v", c, err)
	}
}

// A Redis with TLS and a private CA.
func TestRedisWithTLS(t *testing.T) {
	t.Parallel()
	files := testenv.NewCertificates(t)
	redis := testenv.NewRedis(t, testenv.RedisOptions{Certificates: files, Config: []string{"tls-auth-clients no"}})
	s := newSite(t)
	s.Redis = "tls://" + redis.Addr()
	if _, err := s.run(t.Context(), t); err == nil || !strings.Contains(err.Error(), "--redis-ca FILE") {
		t.Errorf("error %v", err)
	}
	s.RedisCA = files.CA
	c, err := s.run(t.Context(), t)
	if err != nil || !c.Redis.TLS || c.Redis.TLSCA != files.CA {
		t.Errorf("%+v, %v", c, err)
	}
}

// TLS of wp-config.php counts over TCP alone: a Unix socket does not leave the host.
func TestTLSOfWordPress(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wp  wpconfig.Config
		ca  string
		on  bool
		dsn string
	}{
		"none":            {wpconfig.Config{}, "", false, ""},
		"verified":        {wpconfig.Config{TLS: true}, "", true, ""},
		"unverified":      {wpconfig.Config{TLS: true, TLSUnverified: true}, "", false, "skip-verify"},
		"unverified, yet": {wpconfig.Config{TLS: true, TLSUnverified: true}, "/ca.pem", true, ""},
	} {
		d := &draft{DSN: "u:p@tcp(db:3306)/d"}
		err := d.secure(&test.wp, test.ca)
		dsn, _ := driver.ParseDSN(d.DSN)
		if err != nil || d.TLS != test.on || dsn.TLSConfig != test.dsn || d.TLSCA != test.ca {
			t.Errorf("%s: %+v, %v", name, d, err)
		}
		local := &draft{DSN: "u:p@unix(/s)/d"}
		if err := local.secure(&test.wp, ""); err != nil || local.TLS || local.DSN != "u:p@unix(/s)/d" {
			t.Errorf("%s, over a socket: %+v, %v", name, local, err)
		}
		if err := local.secure(&test.wp, filepath.Join("/", "ca.pem")); err == nil {
			t.Error("a CA for a Unix socket is taken")
		}
	}
}
