package testenv

import (
	"context"
	_ "embed"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
)

// NginxOptions are the options of a private nginx.
type NginxOptions struct {
	// Root is the served folder.
	Root string
	// FastCGI is the socket of the PHP-FPM that runs the .php files.
	FastCGI string
	// TCP makes the server listen on a free port of 127.0.0.1, as a browser needs, instead of a Unix socket.
	TCP bool
}

// Nginx is a private nginx.
type Nginx struct {
	process

	socket string // empty with TCP
	port   int
}

//go:embed nginx.conf.tmpl
var nginxTemplate string

// StartNginx starts an nginx with socket, configuration, logs and temporary files in dir.
func StartNginx(ctx context.Context, dir string, o NginxOptions) (*Nginx, error) {
	path, err := program("nginx-light", "nginx")
	if err != nil {
		return nil, err
	}
	socket, err := socketIn(dir, "nginx.sock")
	if err != nil {
		return nil, err
	}
	n, listen := &Nginx{socket: socket}, "unix:"+socket
	if o.TCP {
		if n.port, err = freePort(ctx, false); err != nil {
			return nil, err
		}
		n.socket, listen = "", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port))
	}
	base := filepath.Dir(socket)
	var text strings.Builder
	err = template.Must(template.New("nginx.conf").Parse(nginxTemplate)).Execute(&text, map[string]any{
		"AsRoot": asRoot(), "Dir": base, "Listen": listen, "Root": o.Root, "FastCGI": o.FastCGI,
	})
	if err != nil {
		return nil, err
	}
	config := filepath.Join(base, "nginx.conf")
	if err := writeFile(config, text.String()); err != nil {
		return nil, err
	}
	n.command = command{
		name: "nginx", path: path, args: []string{"-e", "stderr", "-p", base, "-c", config}, dir: base, socket: n.socket,
		orphan: syscall.SIGTERM, ready: n.ping,
	}
	if err := n.start(ctx); err != nil {
		return nil, err
	}
	return n, nil
}

// NewNginx starts an nginx for a test and ends the server with the test.
func NewNginx(t testing.TB, o NginxOptions) *Nginx {
	t.Helper()
	return newServer(t, "nginx", func(ctx context.Context, dir string) (*Nginx, error) { return StartNginx(ctx, dir, o) })
}

// URL is the server's address without a closing slash. Over a Unix socket only [Nginx.Client] can use the URL.
func (n *Nginx) URL() string {
	if n.port == 0 {
		return "http://localhost"
	}
	return "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port))
}

// Client returns a client that reaches the server for any host in a URL. Close the idle connections at the end.
func (n *Nginx) Client() *http.Client {
	network, address := "unix", n.socket
	if n.port != 0 {
		network, address = "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(n.port))
	}
	return &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var dialer net.Dialer
			return dialer.DialContext(ctx, network, address)
		},
		MaxIdleConnsPerHost: 64, // as many parallel visitors keep their connections
	}}
}

func (n *Nginx) ping(ctx context.Context) error {
	client := n.Client()
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL()+"/.ready", nil)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	return response.Body.Close()
}
