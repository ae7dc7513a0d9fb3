package wpconfig

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// disk are the files of the machine.
type disk struct{}

func (disk) Read(path string) ([]byte, error) { return os.ReadFile(path) }

func (disk) Exists(path string) bool { _, err := os.Stat(path); return err == nil }

// docker is the part of wp-config-docker.php, of Docker's official image, that has the settings.
const docker = `
if (!function_exists('getenv_docker')) {
	function getenv_docker($env, $default) {
		if ($fileEnv = getenv($env . '_FILE')) {
			return rtrim(file_get_contents($fileEnv), "\r\n");
		}
		else if (($val = getenv($env)) !== false) {
			return $val;
		}
		else {
			return $default;
		}
	}
}
define( 'DB_NAME', getenv_docker('WORDPRESS_DB_NAME', 'wordpress') );
define( 'DB_USER', getenv_docker('WORDPRESS_DB_USER', 'example username') );
define( 'DB_PASSWORD', getenv_docker('WORDPRESS_DB_PASSWORD', 'example password') );
define( 'DB_HOST', getenv_docker('WORDPRESS_DB_HOST', 'mysql') . ':' . getenv_docker('WORDPRESS_DB_PORT', '3306'));
define( 'AUTH_KEY', getenv_docker('WORDPRESS_AUTH_KEY', 'put your unique phrase here') );
$table_prefix = getenv_docker('WORDPRESS_TABLE_PREFIX', 'wp_');
define( 'WP_DEBUG', !!getenv_docker('WORDPRESS_DEBUG', '') );
if (isset($_SERVER['HTTP_X_FORWARDED_PROTO']) && strpos($_SERVER['HTTP_X_FORWARDED_PROTO'], 'https') !== false) {
	$_SERVER['HTTPS'] = 'on';
}
if ($configExtra = getenv_docker('WORDPRESS_CONFIG_EXTRA', '')) {
	eval($configExtra);
}
`

// debian is the part of the wp-config.php in Debian's package that has the settings.
const debian = `
$debian_server = preg_replace('/:.*/', "", $_SERVER['HTTP_HOST']);
$debian_server = preg_replace("/[^a-zA-Z0-9.\-]/", "", $debian_server);
if (isset($_SERVER['WORDPRESS_CONFIG'])
    && preg_match("/^[a-zA-Z0-9-]+$/", $_SERVER['WORDPRESS_CONFIG'])) {
    $debian_file = __DIR__ . '/config-'.$_SERVER['WORDPRESS_CONFIG'].'.php';
} else {
    $debian_file = __DIR__ . '/config-'.strtolower($debian_server).'.php';
}
$debian_main_server = preg_replace("/^[^.]*\./", "", $debian_server);
$debian_main_file = __DIR__ . '/config-'.strtolower($debian_main_server).'.php';
if (file_exists($debian_file)) {
    require_once($debian_file);
    define('DEBIAN_FILE', $debian_file);
} elseif (file_exists($debian_main_file)) {
    require_once($debian_main_file);
    define('DEBIAN_FILE', $debian_main_file);
} else {
    header("HTTP/1.0 404 Not Found");
    echo "Neither <b>$debian_file</b> nor <b>$debian_main_file</b> could be found.";
    exit(1);
}
if (!defined('DB_HOST'))
    define('DB_HOST', 'localhost');
if (!isset($table_prefix)) {
    $table_prefix = 'wp_';
}
`

// configurations are wp-config.php files as people and hosts write them. Want is name, user, password and prefix of the
// database, or empty where only PHP itself can tell.
var configurations = map[string]struct {
	text  string
	files map[string]string // beside it
	env   map[string]string
	host  string
	want  string
}{
	"the usual": {text: plain, want: "shop wp hunter2 wp_"},
	"a local file that is there": {
		text: "if ( file_exists( 'local.php' ) ) include 'local.php'; else { " + plain + " }",
		files: map[string]string{"local.php": "<?php define('DB_NAME','a'); define('DB_USER','b'); define('DB_PASSWORD','c');" +
			"define('DB_HOST','d'); $table_prefix = 'e_';"},
		want: "a b c e_",
	},
	"a local file that is not there": {
		text: "if ( file_exists( __DIR__ . '/local.php' ) ) include __DIR__ . '/local.php'; else { " + plain + " }",
		want: "shop wp hunter2 wp_",
	},
	"an include that changes the prefix": {
		text: plain + "include 'site.php';", files: map[string]string{"site.php": "<?php $table_prefix = $table_prefix . 'two_';"},
		want: "shop wp hunter2 wp_two_",
	},
	"an include before the defines": {
		text:  "require_once dirname( __FILE__ ) . '/db.php';\n" + plain,
		files: map[string]string{"db.php": "<?php define( 'DB_NAME', 'mine' );"},
		want:  "mine wp hunter2 wp_",
	},
	"$GLOBALS":         {text: plain + "$GLOBALS['table_prefix'] = 'g_';", want: "shop wp hunter2 g_"},
	"$GLOBALS is read": {text: plain + "$table_prefix = $GLOBALS['table_prefix'] . 'x_';", want: "shop wp hunter2 wp_x_"},
	"an empty variable": {
		text: strings.Replace(plain, "'wp_'", "getenv( 'DB_PREFIX' ) ?: 'wp_'", 1), env: map[string]string{"DB_PREFIX": ""},
		want: "shop wp hunter2 wp_",
	},
	"no variable": {text: strings.Replace(plain, "'wp_'", "getenv( 'DB_PREFIX' ) ?: 'wp_'", 1), want: "shop wp hunter2 wp_"},
	"a variable": {
		text: strings.Replace(plain, "'wp_'", "getenv( 'DB_PREFIX' ) ?: 'wp_'", 1), env: map[string]string{"DB_PREFIX": "x_"},
		want: "shop wp hunter2 x_",
	},
	"Docker without variables": {text: docker, want: "wordpress example username example password wp_"},
	"Docker": {
		text: docker, env: map[string]string{"WORDPRESS_DB_NAME": "a", "WORDPRESS_DB_USER": "b", "WORDPRESS_DB_PASSWORD": "c"},
		want: "a b c wp_",
	},
	"Docker's secrets": {
		text: docker, env: map[string]string{"WORDPRESS_DB_PASSWORD_FILE": "DIR/secret"},
		files: map[string]string{"secret": "hunter3\n"}, want: "wordpress example username hunter3 wp_",
	},
	"Docker's eval": {text: docker, env: map[string]string{"WORDPRESS_CONFIG_EXTRA": "$table_prefix = 'e_';"}},
	"Debian": {
		text: debian, host: "Shop.example.com:8080", want: "d u p wp_",
		files: map[string]string{"config-shop.example.com.php": "<?php define('DB_NAME','d'); define('DB_USER','u'); " +
			"define('DB_PASSWORD','p');?>"},
	},
	"Debian's multisite": {
		text: debian, host: "blog.example.com", want: "d u p x_",
		files: map[string]string{"config-example.com.php": "<?php define('DB_NAME','d'); define('DB_USER','u'); " +
			"define('DB_PASSWORD','p');\n" +
			"$table_prefix = 'x_';"},
	},
	"a nowdoc":            {text: strings.Replace(plain, "'hunter2'", "<<<'X'\na\\b$c\"\nX\n", 1), want: `shop wp a\b$c" wp_`},
	"an indented heredoc": {text: strings.Replace(plain, "'hunter2'", "<<<X\n  a\\x41\\\"b\n  X\n", 1), want: `shop wp aA\"b wp_`},
	"defines in a loop": {
		text: "foreach ( array( 'DB_NAME' => 'a', 'DB_USER' => 'b', 'DB_PASSWORD' => 'c', 'DB_HOST' => 'd' ) as $k => $v ) {\n" +
			"	if ( ! defined( $k ) ) define( $k, $v );\n}\n$table_prefix = 'e_';", want: "a b c e_",
	},
	"a loop over a variable": {
		text: "$all = ['DB_NAME' => 'a']; $all['DB_USER'] = 'b'; $all['DB_PASSWORD'] = 'c'; $all['DB_HOST'] = 'd';\n" +
			"foreach ( $all as $k => $v ): define( $k, $v ); endforeach; $table_prefix = 'e_';", want: "a b c e_",
	},
	"parts":             {text: strings.Replace(plain, "'hunter2'", "'hunter' . '2' . 3", 1), want: "shop wp hunter23 wp_"},
	"defined twice":     {text: plain + "define( 'DB_PASSWORD', 'hunter3' );", want: "shop wp hunter2 wp_"},
	"a prefix appended": {text: plain + "$table_prefix .= 'x_';", want: "shop wp hunter2 wp_x_"},
	"a switch": {
		text: strings.Replace(plain, "$table_prefix = 'wp_';", "switch ( $_SERVER['HTTP_HOST'] ) { case 'a.example': "+
			"$table_prefix = 'a_'; "+
			"break; case 'b.example': $table_prefix = 'b_'; break; default: exit; }", 1), host: "b.example", want: "shop wp hunter2 b_",
	},
	"a branch not taken": {
		text: plain + "if ( getenv( 'WP_ENV' ) === 'staging' ) { $table_prefix = 'stage_'; }", want: "shop wp hunter2 wp_",
	},
	"a guard": {text: "defined( 'ABSPATH' ) || exit;\n" + plain, want: "shop wp hunter2 wp_"},
	"of the request": {text: "if ( isset( $_SERVER['HTTP_X'] ) ) { $_SERVER['HTTPS'] = 'on'; }\n" + plain,
		want: "shop wp hunter2 wp_"},
	"harmless calls": {text: "@ini_set( 'display_errors', 0 ); error_reporting( E_ALL & ~E_NOTICE );\n" + plain,
		want: "shop wp hunter2 wp_"},
	"a function's own": {text: "function f( $a = 'wp' ) { $table_prefix = 'no_'; return $a . '_'; }\n" +
		strings.Replace(plain, "'wp_'", "f()", 1), want: "shop wp hunter2 wp_"},
	"a constant's value": {text: "define( 'ENV', 'wp' );\n" + strings.Replace(plain, "'wp_'", "ENV . '_'", 1),
		want: "shop wp hunter2 wp_"},
	"a branch that ends the page": {
		text: "if ( isset( $_SERVER['HTTP_X'] ) ) { define( 'DB_NAME', 'no' ); exit; }\n" + plain, want: "shop wp hunter2 wp_",
	},
	"a define in a class":   {text: "class Site { static function set() { define( 'DB_NAME', 'other' ); } } Site::set();\n" + plain},
	"a computed function":   {text: "$f = 'define'; $f( 'DB_NAME', 'other' );\n" + plain},
	"a define in a closure": {text: "array_map( 'define', array( 'DB_NAME' ), array( 'other' ) );\n" + plain},
	"a closure":             {text: "$f = function () { return 1; };\n" + plain},
	"a global":              {text: plain + "function f() { global $table_prefix; $table_prefix = 'f_'; } f();"},
	"an unknown condition":  {text: plain + "if ( time() > 5 ) { $table_prefix = 't_'; }"},
	"both branches equal":   {text: plain + "if ( time() > 5 ) { $x = 1; } else { $x = 2; }", want: "shop wp hunter2 wp_"},
	"numbers": {text: strings.Replace(plain, "'wp_'", "'b' . 0x10 . '_' . 1_000", 1),
		want: "shop wp hunter2 b16_1000"},
}

// What the package reads is what PHP itself reads; and where it says that only PHP can tell, PHP tells.
func TestConfigurationsAreReadAsPHPReadsThem(t *testing.T) {
	t.Parallel()
	for name, test := range configurations {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			source := &Source{Path: filepath.Join(dir, "wp-config.php"), Root: dir, Host: test.host, Files: disk{}}
			source.Getenv = func(name string) (string, bool) {
				v, set := test.env[name]
				return strings.ReplaceAll(v, "DIR", dir), set
			}
			write(t, filepath.Join(dir, "wp-settings.php"), settingsFile)
			write(t, source.Path, string(usual(test.text)))
			for file, text := range test.files {
				write(t, filepath.Join(dir, file), text)
			}
			asked, err := Ask(t.Context(), source, PHP{Program: "php"})
			if err != nil {
				t.Fatalf("PHP itself: %v", err)
			}
			src, _ := os.ReadFile(source.Path)
			parsed, err := Parse(src, source)
			if test.want == "" {
				if err == nil {
					t.Errorf("the file is read as %s, PHP reads %s", sum(parsed), sum(asked))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for name := range test.env {
				if !strings.Contains(strings.Join(parsed.Notes, "\n"), "from the environment of this command: ") ||
					!strings.Contains(strings.Join(parsed.Notes, "\n"), name) {
					t.Errorf("notes %q do not name %s", parsed.Notes, name)
				}
			}
			if got, php := sum(parsed), sum(asked); got != test.want || php != test.want {
				t.Errorf("read as %s, by PHP as %s, want %s", got, php, test.want)
			}
		})
	}
}

// settingsFile begins as WordPress' own, and says if it goes on.
const settingsFile = "<?php define( 'WPINC', 'wp-includes' ); require ABSPATH . WPINC . '/version.php'; " +
	"file_put_contents( __DIR__ . '/ran', 'x' );"

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func sum(c *Config) string { return fmt.Sprintf("%s %s %s %s", c.Name, c.User, c.Password, c.Prefix) }

// PHP runs without a network, without root's environment, and not for ever.
func TestPHPIsOnItsOwn(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	dir := t.TempDir()
	source := &Source{
		Path: filepath.Join(dir, "wp-config.php"), Root: dir, Files: disk{}, Permitted: []string{"MY_NAME"},
		Getenv: func(name string) (string, bool) {
			return "secret", name == "AWS_SECRET_ACCESS_KEY" || name == "MY_NAME"
		},
	}
	write(t, filepath.Join(dir, "wp-settings.php"), settingsFile)
	set := func(text string) { write(t, source.Path, string(usual(text))) }
	set(fmt.Sprintf("define( 'DB_NAME', @stream_socket_client( 'tcp://%s' ) ? 'reached' : 'cut off' );\n", listener.Addr()) +
		"define( 'DB_USER', getenv( 'AWS_SECRET_ACCESS_KEY' ) . getenv( 'HOME' ) ); define( 'DB_PASSWORD', getenv( 'MY_NAME' ) " +
		");\n" + plain)
	c, err := Ask(t.Context(), source, PHP{Program: "php"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "cut off" || c.User != "" || c.Password != "secret" {
		t.Errorf("%+v", c)
	}
	if len(c.Notes) != 1 || !strings.Contains(c.Notes[0], "MY_NAME") {
		t.Errorf("notes %q: want the variable that PHP had", c.Notes)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("WordPress itself has run")
	}
	for name, test := range map[string]struct{ text, want string }{
		"an end":      {plain + "exit;", "PHP ends before WordPress begins"},
		"a mistake":   {plain + "\nnone();", "PHP ends before WordPress begins, in line 9 of"},
		"no database": {"$table_prefix = 'wp_';", "DB_HOST, DB_NAME, DB_PASSWORD, DB_USER is not set"},
	} {
		set(test.text)
		if _, err := Ask(t.Context(), source, PHP{Program: "php"}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", name, err, test.want)
		}
	}
	set(plain + "while ( true ) { ; }")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, source, PHP{Program: "php"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a run without end: %v", err)
	}
	if _, err := Ask(t.Context(), source, PHP{Program: "no-such-php"}); err == nil || !strings.Contains(err.Error(), "--php=") {
		t.Errorf("no PHP: %v", err)
	}
}

// The object cache's settings in the forms of its plugins.
func TestRedisSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		text string
		want Redis
	}{
		"constants": {"define('WP_REDIS_HOST','h'); define('WP_REDIS_PORT',1); define('WP_REDIS_PASSWORD','p'); " +
			"define('WP_REDIS_DATABASE',2);",
			Redis{Host: "h", Port: "1", Password: "p", Database: "2"}},
		"a user":  {"define('WP_REDIS_PASSWORD',['u','p']);", Redis{User: "u", Password: "p"}},
		"TLS":     {"define('WP_REDIS_SCHEME','tls'); define('WP_REDIS_HOST','h');", Redis{Host: "h", TLS: true}},
		"tls://":  {"define('WP_REDIS_HOST','tls://h');", Redis{Host: "h", TLS: true}},
		"unix://": {"define('WP_REDIS_HOST','unix:///r.sock');", Redis{Path: "/r.sock"}},
		"a " +
			"list": {"define('WP_REDIS_CONFIG',['token'=>'x','host'=>'tls://h','port'=>6380," +
			"'password'=>['u','p'],'database'=>0,'timeout'=>0.5]);",
			Redis{Host: "h", Port: "6380", User: "u", Password: "p", Database: "0", TLS: true}},
	} {
		c, err := Parse(usual(plain+test.text), surroundings())
		if err != nil || c.Redis != test.want {
			t.Errorf("%s: %+v, %v, want %+v", name, c, err, test.want)
		}
	}
}

// A flag counts where PHP would run its line.
func TestTLSFlags(t *testing.T) {
	t.Parallel()
	for text, want := range map[string][2]bool{
		"define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL);":                                                  {true, false},
		"define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_COMPRESS | MYSQLI_CLIENT_SSL_DONT_VERIFY_SERVER_CERT);": {true, true},
		"if ( getenv('WP_ENV') === 'live' ) define('MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_SSL);":               {false, false},
		"": {false, false},
	} {
		c, err := Parse(usual(plain+text), surroundings())
		if err != nil || c.TLS != want[0] || c.TLSUnverified != want[1] {
			t.Errorf("%s: %+v, %v", text, c, err)
		}
	}
}
