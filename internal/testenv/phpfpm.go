package testenv

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// PHPFPMOptions are the options of a private PHP-FPM.
type PHPFPMOptions struct {
	// Children is the number of worker processes; 0 means 4.
	Children int
	// User and group of the worker processes, which only root can choose; 0 means the test's own.
	User uint32
	// INI are further php.ini settings, for the workers and for scripts run from the command line.
	INI map[string]string
}

// PHPFPM is a private PHP-FPM with a pool on a Unix socket.
type PHPFPM struct {
	process

	socket, ini, errors string
}

// StartPHPFPM starts a PHP-FPM with socket, configuration and logs in dir.
func StartPHPFPM(ctx context.Context, dir string, o PHPFPMOptions) (*PHPFPM, error) {
	path, err := phpfpmProgram()
	if err != nil {
		return nil, err
	}
	socket, err := socketIn(dir, "php-fpm.sock")
	if err != nil {
		return nil, err
	}
	base := filepath.Dir(socket)
	f := &PHPFPM{socket: socket, ini: filepath.Join(base, "php.ini"), errors: filepath.Join(base, "php-errors.log")}
	if err := writeFile(f.ini, f.settings(o)); err != nil {
		return nil, err
	}
	config := filepath.Join(base, "php-fpm.conf")
	if err := writeFile(config, f.pool(o)); err != nil {
		return nil, err
	}
	args := []string{"--nodaemonize", "--fpm-config", config, "--php-ini", f.ini}
	if asRoot() {
		args = append(args, "--allow-to-run-as-root")
	}
	f.command = command{
		name: "php-fpm", path: path, args: args, dir: base, socket: socket,
		orphan: syscall.SIGTERM, ready: f.dial,
	}
	if err := f.start(ctx); err != nil {
		return nil, err
	}
	return f, nil
}

// NewPHPFPM starts a PHP-FPM for a test and ends the server with the test.
func NewPHPFPM(t testing.TB, o PHPFPMOptions) *PHPFPM {
	t.Helper()
	return newServer(t, "php-fpm", func(ctx context.Context, dir string) (*PHPFPM, error) {
		return StartPHPFPM(ctx, dir, o)
	})
}

// Socket is the path of the pool's Unix socket.
func (f *PHPFPM) Socket() string { return f.socket }

// INI is the path of the php.ini, for `php -c`.
func (f *PHPFPM) INI() string { return f.ini }

// Errors returns the lines of PHP's error log (errors, warnings, notices, deprecations) that contain about, e.g.
// "/plugins/ticketd/": WordPress itself is older than PHP's newest deprecations, so a test only asks for errors of its own
// code.
func (f *PHPFPM) Errors(about string) ([]string, error) {
	content, err := os.ReadFile(f.errors)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading PHP's error log: %w", err)
	}
	var found []string
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, about) {
			found = append(found, strings.TrimSuffix(line, "\n"))
		}
	}
	return found, nil
}

func (f *PHPFPM) settings(o PHPFPMOptions) string {
	settings := map[string]string{
		"error_log": f.errors, "log_errors": "On", "display_errors": "Off", "html_errors": "Off",
		"error_reporting": "32767", // E_ALL
		"date.timezone":   "UTC",
	}
	maps.Copy(settings, o.INI)
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		fmt.Fprintf(&text, "%s = %q\n", name, settings[name])
	}
	return text.String()
}

func (f *PHPFPM) pool(o PHPFPMOptions) string {
	children := o.Children
	if children == 0 {
		children = 4
	}
	lines := []string{
		"[global]", "error_log = /proc/self/fd/2", "daemonize = no",
		"[www]", "listen = " + f.socket, "listen.mode = 0600", "pm = static",
		"pm.max_children = " + strconv.Itoa(children), "clear_env = no",
	}
	switch {
	case o.User != 0:
		id := strconv.FormatUint(uint64(o.User), 10)
		lines = append(lines, "user = "+id, "group = "+id)
	case asRoot():
		lines = append(lines, "user = root", "group = root")
	}
	return strings.Join(lines, "\n") + "\n"
}

// dial returns nil if the pool accepts connections; PHP-FPM has read its configuration by then.
func (f *PHPFPM) dial(ctx context.Context) error { return dialUnix(ctx, f.socket) }

// phpfpmProgram finds the newest PHP-FPM: Debian puts the version into the program's name.
func phpfpmProgram() (string, error) {
	if path, err := program("php-fpm", "php-fpm"); err == nil {
		return path, nil
	}
	found, err := filepath.Glob("/usr/sbin/php-fpm[0-9]*")
	if err != nil || len(found) == 0 {
		return "", &MissingError{Name: "php-fpm", Package: "php-fpm"}
	}
	return slices.Max(found), nil
}

func dialUnix(ctx context.Context, socket string) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return err
	}
	return conn.Close()
}
