package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/sync/mysql"
)

// remedy is what an error of a server asks the operator to do: the check that fails, what the error means, and the commands. An
// empty meaning leaves the server's own words alone.
type remedy struct{ check, meaning, fix string }

// mysqlRemedies by error number, of a connection or of its first statements.
var mysqlRemedies = map[uint16]remedy{
	1040: {"connections", "", "raise the server's max_connections above the sum of pm.max_children of PHP's pools and of each " +
		"ticketd's mysql.max_connections; docs/sites.md"},
	1044: {"login", "", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO ticketd's user"},
	1045: {"login", "", "correct user and password in the site's dsn: wp-config.php has WordPress' own"},
	1049: {"login", "", "correct the database in the site's dsn: DB_NAME in wp-config.php"},
	1129: {"login", "", "FLUSH HOSTS (mysqladmin flush-hosts), then look for what breaks connections off"},
	1130: {"login", "", "CREATE USER with this host's name, or connect through the server's socket: " +
		"unix(/run/mysqld/mysqld.sock) in the site's dsn"},
	1142: {"grants", "", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO the user of the site's dsn"},
	1143: {"grants", "", "GRANT SELECT, INSERT, UPDATE, DELETE ON DATABASE.* TO the user of the site's dsn"},
	1203: {"connections", "", "lower mysql.max_connections, or ALTER USER … WITH MAX_USER_CONNECTIONS 0; docs/sites.md"},
	1226: {"limits", "", "ALTER USER … WITH MAX_QUERIES_PER_HOUR 0 MAX_UPDATES_PER_HOUR 0 MAX_CONNECTIONS_PER_HOUR 0, then FLUSH " +
		"USER_RESOURCES: a daemon needs a user without limits per hour"},
	1820: expired,
	1862: expired,
	3118: locked,
	3159: {"tls", "", "add ?tls=true to the site's dsn: the server takes only encrypted connections of this user"},
	4151: locked,
}

var (
	expired = remedy{
		"login", "the password has expired: ",
		"ALTER USER … IDENTIFIED BY the password of the site's dsn, and PASSWORD EXPIRE NEVER for a user that no person uses",
	}
	locked = remedy{"login", "the account is locked: ", "ALTER USER … ACCOUNT UNLOCK"}
)

// mysqlRemedy finds the remedy of an error of a connection to MySQL.
func mysqlRemedy(err error) remedy {
	if refused, is := errors.AsType[*driver.MySQLError](err); is {
		if r, known := mysqlRemedies[refused.Number]; known {
			return r
		}
	}
	switch {
	case errors.Is(err, driver.ErrNoTLS):
		return remedy{
			"tls", "the site's dsn asks for TLS, which this server does not speak: ",
			"remove tls=… from the site's dsn, or give the server ssl_cert and ssl_key",
		}
	case errors.Is(err, mysql.ErrSession):
		return remedy{"session", "", "permit ticketd's user to set the variable: see the server's init_connect and maximum-… " +
			"options, and the options of the site's dsn"}
	}
	if r, is := certificateRemedy(err, "the CA of MySQL's certificate", "the host in the site's dsn"); is {
		return r
	}
	return remedy{"reach", "", "start MySQL (systemctl start mariadb), or correct the address in the site's dsn"}
}

// certificateRemedy finds the remedy of a certificate that this host does not trust. ca and host name where the operator corrects
// the two.
func certificateRemedy(err error, ca, host string) (remedy, bool) {
	r := remedy{check: "tls"}
	_, strange := errors.AsType[x509.UnknownAuthorityError](err)
	_, other := errors.AsType[x509.HostnameError](err)
	_, refused := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case strange:
		r.fix = "name or install " + ca + " (update-ca-certificates)"
	case other:
		r.fix = "correct " + host + ": the certificate is for another name"
	case refused:
		r.fix = "renew the server's certificate, or set this host's clock"
	default:
		return remedy{}, false
	}
	return r, true
}

// redisRemedies by a part of Redis' answer to the first commands of a connection; the first that fits.
var redisRemedies = []struct {
	part string
	remedy
}{
	{"NOAUTH", remedy{
		"password", "Redis requires a password: ", "set redis.password_file, and redis.username if Redis has ACL users",
	}},
	{"WRONGPASS", remedy{
		"password", "Redis rejects the user or the password: ",
		"correct redis.username or redis.password_file; ACL LIST in redis-cli shows the users",
	}},
	{"protected mode", remedy{
		"protected-mode", "Redis takes no connections from other hosts, because it has no password: ",
		"requirepass in redis.conf and redis.password_file here; where Redis is on this host, connect to 127.0.0.1 or its socket",
	}},
	{"DB index is out of range", remedy{
		"database", "", "lower redis.db, or raise databases in redis.conf",
	}},
	{"SELECT is not allowed in cluster mode", remedy{
		"database", "a Redis Cluster has no numbered databases: ", "remove redis.db, and name the nodes in redis.cluster",
	}},
	{"'select'", remedy{ // NOPERM, or an unknown command
		"database", "Redis refuses the numbered database redis.db: ",
		"remove redis.db and tell sites apart by key_prefix, or ACL SETUSER for ticketd's user: +select",
	}},
	{"max number of clients", remedy{
		"clients", "", "raise maxclients in redis.conf; CLIENT LIST shows who holds the connections",
	}},
	{"LOADING", remedy{
		"loading", "Redis reads its data from the disk: ", "wait until it has; Redis' log shows how far it is",
	}},
	{"certificate required", remedy{
		"tls", "Redis wants a certificate of its clients: ",
		"set redis.tls_cert and redis.tls_key, or tls-auth-clients no in redis.conf",
	}},
}

// speaksTLS says that a server answers a TLS handshake. Nothing is sent over the connection, so any certificate will do.
func speaksTLS(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), againTimeout)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	return tls.Client(conn, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) == nil //nolint:gosec // see above
}
