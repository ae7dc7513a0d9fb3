package setup

import (
	"errors"
	"fmt"
	"os"
	"strings"

	driver "github.com/go-sql-driver/mysql"

	"github.com/ticketd/ticketd/internal/wpconfig"
)

// dsnOf writes what wp-config.php says as a DSN. "localhost" stands for one of the sockets.
func dsnOf(wp *wpconfig.Config, sockets []string) (string, error) {
	c := driver.NewConfig()
	c.User, c.Passwd, c.DBName = wp.User, wp.Password, wp.Name
	switch {
	case wp.Host.Socket != "":
		c.Net, c.Addr = "unix", wp.Host.Socket
	case wp.Host.Local:
		socket := firstSocket(sockets)
		if socket == "" {
			return "", fmt.Errorf("DB_HOST is localhost, where PHP takes MySQL's socket, and there is none at %s: "+
				"write it into wp-config.php as localhost:/path/to.sock", strings.Join(sockets, ", "))
		}
		c.Net, c.Addr = "unix", socket
	default:
		c.Net, c.Addr = "tcp", wp.Host.Address
	}
	switch {
	case wp.TLSUnverified:
		c.TLSConfig = "skip-verify"
	case wp.TLS:
		c.TLSConfig = "true"
	}
	dsn := c.FormatDSN()
	// A DSN escapes nothing in names and passwords, so what comes out of it is compared with what went in.
	back, err := driver.ParseDSN(dsn)
	if err != nil || back.User != c.User || back.Passwd != c.Passwd || back.Addr != c.Addr || back.DBName != c.DBName {
		return "", errors.New("the database's user, password or host in wp-config.php cannot be written as a DSN: a user with a " +
			"colon, or a path with a bracket; give ticketd a user of its own and write the configuration by hand")
	}
	return dsn, nil
}

func firstSocket(paths []string) string {
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && info.Mode().Type() == os.ModeSocket {
			return path
		}
	}
	return ""
}
