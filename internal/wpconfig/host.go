package wpconfig

import (
	"fmt"
	"net"
	"regexp"
	"strings"
)

// Host is where a database listens: on a socket, or on an address. Local stands for "localhost" without a socket: PHP then
// uses the socket of its build or configuration.
type Host struct {
	Socket string
	// Address is host:port, with the default port 3306.
	Address string
	Local   bool
}

const defaultPort = "3306"

var (
	hostPort   = regexp.MustCompile(`^([^:/\[\]]*)(?::([0-9]+))?$`)
	hostIPv6   = regexp.MustCompile(`^\[([0-9a-fA-F:.]+)\](?::([0-9]+))?$`)
	persistent = "p:" // mysqli's prefix for a connection that is kept
)

// ParseHost reads DB_HOST in all the forms that WordPress takes: host, host:port, :/socket, host:/socket, and IPv6 with or
// without brackets (wpdb::parse_db_host in wp-includes/class-wpdb.php).
func ParseHost(text string) (Host, error) {
	text = strings.TrimPrefix(strings.TrimSpace(text), persistent)
	if at := strings.Index(text, ":/"); at >= 0 {
		return Host{Socket: text[at+1:]}, nil
	}
	if strings.HasPrefix(text, "/") {
		return Host{}, fmt.Errorf("%q is a path; WordPress wants a colon before a socket's", text)
	}
	var host, port string
	if m := hostIPv6.FindStringSubmatch(text); m != nil {
		host, port = m[1], m[2]
	} else if strings.Count(text, ":") > 1 {
		host = text
	} else if m := hostPort.FindStringSubmatch(text); m != nil {
		host, port = m[1], m[2]
	} else {
		return Host{}, fmt.Errorf("%q is neither host, host:port nor :/path/to.sock", text)
	}
	if strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return Host{}, fmt.Errorf("%q is no IPv6 address", host)
	}
	if host == "" || strings.EqualFold(host, "localhost") {
		return Host{Local: true}, nil // PHP's driver uses the socket, regardless of the port
	}
	if port == "" {
		port = defaultPort
	}
	return Host{Address: net.JoinHostPort(host, port)}, nil
}
