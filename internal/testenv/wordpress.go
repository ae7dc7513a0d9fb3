package testenv

import (
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// WordPressOptions are the options of a private WordPress.
type WordPressOptions struct {
	// MariaDB and Database hold the tables; the database exists and is empty.
	MariaDB  *MariaDB
	Database string
	// Plugins are folders, each copied in and activated, in this order.
	Plugins []string
	// Config is PHP code for wp-config.php, e.g. "define( 'TICKETD_SOCKET', '/…/ticketd.sock' );".
	Config string
	// PHP are the options of the PHP-FPM.
	PHP PHPFPMOptions
	// TCP makes a browser reach the site on a free port of 127.0.0.1.
	TCP bool
	// Debug sets WP_DEBUG, so that PHP logs notices and deprecations too.
	Debug bool
	// Source is the folder of the WordPress to copy, as [WordPressSource] returns; empty for Debian's.
	Source string
	// Multisite makes a network with blogs in folders; the plugins are then active in the whole network.
	Multisite bool
}

// WordPress is a private, installed WordPress behind its own nginx and PHP-FPM.
type WordPress struct {
	PHPFPM *PHPFPM
	Nginx  *Nginx
	// User and Password belong to the administrator.
	User, Password string

	dir, root string
}

var (
	//go:embed wordpress_install.php
	installScript string
	//go:embed wordpress_network.php
	networkScript string
	//go:embed wordpress_activate.php
	activateScript string
)

// StartWordPress copies and installs a WordPress in dir and starts its servers; the caller keeps and stops MariaDB.
func StartWordPress(ctx context.Context, dir string, o WordPressOptions) (*WordPress, error) {
	base, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("wordpress: %w", err)
	}
	w := &WordPress{User: "admin", Password: rand.Text(), dir: base, root: filepath.Join(base, "wordpress")}
	if err := w.serve(ctx, o); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	if err := w.install(ctx, o); err != nil {
		return nil, errors.Join(err, w.Stop())
	}
	return w, nil
}

// serve copies WordPress and starts nginx and PHP-FPM for the copy; the port must be known before the installation.
func (w *WordPress) serve(ctx context.Context, o WordPressOptions) (err error) {
	source := o.Source
	if source == "" {
		if source, err = FindWordPress(Debian61); err != nil {
			return err
		}
	}
	if err := copyTree(source, w.root); err != nil {
		return fmt.Errorf("copying WordPress: %w", err)
	}
	fpmDir, nginxDir := filepath.Join(w.dir, "php"), filepath.Join(w.dir, "nginx")
	for _, dir := range []string{fpmDir, nginxDir} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
	}
	if w.PHPFPM, err = StartPHPFPM(ctx, fpmDir, o.PHP); err != nil {
		return err
	}
	w.Nginx, err = StartNginx(ctx, nginxDir, NginxOptions{Root: w.root, FastCGI: w.PHPFPM.Socket(), TCP: o.TCP})
	return err
}

func (w *WordPress) install(ctx context.Context, o WordPressOptions) error {
	// The source's own wp-config.php was copied along; Debian's reads the machine's configuration.
	if err := os.Remove(filepath.Join(w.root, "wp-config.php")); err != nil {
		return fmt.Errorf("wordpress: %w", err)
	}
	config := w.config(o)
	if err := writeFile(filepath.Join(w.root, "wp-config.php"), config); err != nil {
		return err
	}
	if _, err := w.php(ctx, installScript, w.root, w.User, w.Password); err != nil {
		return fmt.Errorf("installing WordPress: %w", err)
	}
	scope := "blog"
	if o.Multisite {
		scope = "network"
		if err := w.makeNetwork(ctx, config); err != nil {
			return err
		}
	}
	for _, plugin := range o.Plugins {
		name := filepath.Base(plugin)
		if err := copyTree(plugin, filepath.Join(w.root, "wp-content", "plugins", name)); err != nil {
			return fmt.Errorf("copying the plugin %s: %w", name, err)
		}
		if _, err := w.php(ctx, activateScript, w.root, name+"/"+name+".php", scope); err != nil {
			return fmt.Errorf("activating the plugin %s: %w", name, err)
		}
	}
	return nil
}

// makeNetwork turns the installed WordPress into a network: first the tables, then the constants that need the tables.
func (w *WordPress) makeNetwork(ctx context.Context, config string) error {
	if _, err := w.php(ctx, networkScript, w.root); err != nil {
		return fmt.Errorf("making a network of WordPress: %w", err)
	}
	const constants = `<?php
define( 'MULTISITE', true );
define( 'SUBDOMAIN_INSTALL', false );
define( 'DOMAIN_CURRENT_SITE', 'localhost' );
define( 'PATH_CURRENT_SITE', '/' );
define( 'SITE_ID_CURRENT_SITE', 1 );
define( 'BLOG_ID_CURRENT_SITE', 1 );
`
	return writeFile(filepath.Join(w.root, "wp-config.php"), strings.Replace(config, "<?php\n", constants, 1))
}

// config is the text of wp-config.php.
func (w *WordPress) config(o WordPressOptions) string {
	var text strings.Builder
	define := func(name, value string) { fmt.Fprintf(&text, "define( '%s', %s );\n", name, value) }
	text.WriteString("<?php\n$table_prefix = 'wp_';\n")
	define("DB_NAME", phpString(o.Database))
	define("DB_USER", "'root'")
	define("DB_PASSWORD", "''")
	define("DB_HOST", phpString("localhost:"+o.MariaDB.Socket()))
	define("DB_CHARSET", "'utf8mb4'")
	define("DB_COLLATE", "''")
	define("WP_HOME", phpString(w.Nginx.URL()))
	define("WP_SITEURL", phpString(w.Nginx.URL()))
	for _, key := range []string{"AUTH", "SECURE_AUTH", "LOGGED_IN", "NONCE"} {
		define(key+"_KEY", phpString(rand.Text()))
		define(key+"_SALT", phpString(rand.Text()))
	}
	define("WP_ENVIRONMENT_TYPE", "'local'") // lets application passwords work without TLS
	define("WP_HTTP_BLOCK_EXTERNAL", "true") // no update checks: no test needs a network
	define("DISABLE_WP_CRON", "true")
	define("AUTOMATIC_UPDATER_DISABLED", "true")
	define("WP_DEBUG", strconv.FormatBool(o.Debug))
	define("WP_DEBUG_DISPLAY", "false")
	define("WP_DEBUG_LOG", "false") // keeps the log path from php.ini
	text.WriteString(o.Config + "\n")
	text.WriteString("require_once ABSPATH . 'wp-settings.php';\n")
	return text.String()
}

// Root is the folder that WordPress runs from.
func (w *WordPress) Root() string { return w.root }

// URL is the site's address without a closing slash.
func (w *WordPress) URL() string { return w.Nginx.URL() }

// Run executes PHP code inside the loaded WordPress, from the command line, and returns the output. args are in $argv from
// index 1.
func (w *WordPress) Run(ctx context.Context, code string, args ...string) (string, error) {
	load := phpString(filepath.Join(w.root, "wp-load.php"))
	return w.php(ctx, "<?php $_SERVER['HTTP_HOST'] = 'localhost'; require "+load+";\n"+code, args...)
}

// php executes a script and returns the output.
func (w *WordPress) php(ctx context.Context, script string, args ...string) (string, error) {
	path, err := program("php-cli", "php")
	if err != nil {
		return "", err
	}
	file, err := os.CreateTemp(w.dir, "script-*.php")
	if err != nil {
		return "", fmt.Errorf("running PHP: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.WriteString(script)
	if err = errors.Join(err, file.Close()); err != nil {
		return "", fmt.Errorf("running PHP: %w", err)
	}
	var stdout, stderr strings.Builder
	cmd := exec.CommandContext(ctx, path, append([]string{"-c", w.PHPFPM.INI(), file.Name()}, args...)...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("running PHP: %w\n%s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// Stop ends nginx and PHP-FPM.
func (w *WordPress) Stop() error {
	var errs []error
	if w.Nginx != nil {
		errs = append(errs, w.Nginx.Stop())
	}
	if w.PHPFPM != nil {
		errs = append(errs, w.PHPFPM.Stop())
	}
	return errors.Join(errs...)
}

// Kill ends nginx and PHP-FPM at once.
func (w *WordPress) Kill() {
	w.Nginx.Kill()
	w.PHPFPM.Kill()
}

// Log returns the logs of nginx and PHP-FPM and the errors that PHP reported.
func (w *WordPress) Log() string {
	reported, err := w.PHPFPM.Errors("")
	if err != nil {
		reported = []string{err.Error()}
	}
	return w.Nginx.Log() + w.PHPFPM.Log() + strings.Join(reported, "\n")
}

// NewWordPress installs and starts a WordPress for a test and ends the servers with the test; without
// [WordPressOptions.MariaDB] in a fresh database of the shared MariaDB.
func NewWordPress(t testing.TB, o WordPressOptions) *WordPress {
	t.Helper()
	if o.MariaDB == nil {
		o.MariaDB, o.Database = SharedMariaDB(t)
	}
	return newServer(t, "wordpress", func(ctx context.Context, dir string) (*WordPress, error) {
		return StartWordPress(ctx, dir, o)
	})
}

// phpString quotes s as a PHP string literal.
func phpString(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
}
