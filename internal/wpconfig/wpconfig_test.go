package wpconfig

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// usual is the file written by WordPress' installer, with settings inserted.
func usual(settings string) []byte {
	return []byte("<?php\n/** The name of the database */\n" + settings + `
if ( ! defined( 'ABSPATH' ) ) {
	define( 'ABSPATH', __DIR__ . '/' );
}
require_once ABSPATH . 'wp-settings.php';
`)
}

const plain = `define( 'DB_NAME', 'shop' );
define( 'DB_USER', 'wp' );
define( 'DB_PASSWORD', 'hunter2' );
define( 'DB_HOST', 'localhost' );
$table_prefix = 'wp_';
`

func noEnv(string) (string, bool) { return "", false }

func TestValuesAreFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change [2]string // in plain: this by that
		get    func(*Config) string
		want   string
	}{
		"as it is":      {[2]string{}, func(c *Config) string { return c.Name + c.User + c.Password + c.Prefix }, "shopwphunter2wp_"},
		"double quotes": {[2]string{`'hunter2'`, `"a\"b\$c\\d\x41\101\u{e9}\q"`}, password, "a\"b$c\\dAAé\\q"},
		"single quotes": {[2]string{`'hunter2'`, `'a\'b\\c\n"$d'`}, password, `a'b\c\n"$d`},
		"brackets":      {[2]string{`'hunter2'`, `( 'x' )`}, password, "x"},
		"no spaces":     {[2]string{`define( 'DB_PASSWORD', 'hunter2' )`, `DEFINE('DB_PASSWORD','x')`}, password, "x"},
		"a backslash":   {[2]string{`define( 'DB_PASSWORD', 'hunter2' )`, `\define("DB_PASSWORD", "x", false)`}, password, "x"},
		"a constant":    {[2]string{`define( 'DB_PASSWORD', 'hunter2' )`, `const DB_PASSWORD = 'x'`}, password, "x"},
		"comments":      {[2]string{`'hunter2'`, "/* 'no' */ 'x' // 'no' ?\n # no\n"}, password, "x"},
		"commented out": {[2]string{`define( 'DB_PASSWORD'`, "// define( 'DB_PASSWORD', 'no' );\n/* define( 'DB_PASSWORD', 'no' " +
			"); */\ndefine( 'DB_PASSWORD'"}, password, "hunter2"},
		"a closing tag": {[2]string{`define( 'DB_PASSWORD'`, "// no ?> define( 'DB_PASSWORD', 'no' ); <?php\ndefine( 'DB_PASSWORD'"},
			password, "hunter2"},
		"in a heredoc": {[2]string{`$table_prefix`, "$x = <<<'X'\ndefine( 'DB_PASSWORD', 'no' );\nX;\n$table_prefix"}, password,
			"hunter2"},
		"in a string":  {[2]string{`$table_prefix`, "$x = \"define( 'DB_PASSWORD', 'no' );\";\n$table_prefix"}, password, "hunter2"},
		"an attribute": {[2]string{`$table_prefix`, "#[A]\n$table_prefix"}, func(c *Config) string { return c.Prefix }, "wp_"},
		"set twice": {[2]string{`$table_prefix`, "if ( ! defined( 'DB_PASSWORD' ) ) { define( 'DB_PASSWORD', 'hunter2' ); " +
			"}\n$table_prefix"}, password, "hunter2"},
		"another's": {[2]string{`$table_prefix`, "$x->define( 'DB_PASSWORD', 'no' ); X::define( 'DB_PASSWORD', 'no' " +
			");\n$table_prefix"}, password, "hunter2"},
		"compared": {[2]string{`$table_prefix =`, "if ( $table_prefix == 'x' || $table_prefix != 'y' ) {}\n$table_prefix ="},
			func(c *Config) string { return c.Prefix }, "wp_"},
		"empty":          {[2]string{`'hunter2'`, `''`}, password, ""},
		"one blog":       {[2]string{`$table_prefix`, "define( 'MULTISITE', false );\n$table_prefix"}, multisite, "one"},
		"many blogs":     {[2]string{`$table_prefix`, "define( 'MULTISITE', TRUE );\n$table_prefix"}, multisite, "many"},
		"getenv":         {[2]string{`'hunter2'`, `getenv( 'SECRET' )`}, password, "from outside"},
		"getenv or else": {[2]string{`'hunter2'`, `getenv("SECRET") ?: 'no'`}, password, "from outside"},
		"$_ENV":          {[2]string{`'hunter2'`, `$_ENV['SECRET'] ?? 'no'`}, password, "from outside"},
		"$_SERVER":       {[2]string{`'hunter2'`, `$_SERVER['SECRET']`}, password, "from outside"},
		"docker":         {[2]string{`'hunter2'`, `getenv_docker('SECRET', 'no')`}, password, "from outside"},
		"TLS": {[2]string{`$table_prefix`, "define( 'MYSQL_CLIENT_FLAGS', MYSQLI_CLIENT_COMPRESS | MYSQLI_CLIENT_SSL " +
			");\n$table_prefix"}, func(c *Config) string {
			if c.TLS && !c.TLSUnverified {
				return "verified"
			}
			return ""
		}, "verified"},
		"a cache": {[2]string{`$table_prefix`, "define( 'WP_REDIS_PORT', 6380 );\ndefine( 'WP_REDIS_HOST', 'x' );\n$table_prefix"},
			func(c *Config) string {
				return c.Redis.Host + ":" + c.Redis.Port
			}, "x:6380"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			text := strings.Replace(plain, test.change[0], test.change[1], 1)
			c, err := Parse(usual(text), func(name string) (string, bool) { return "from outside", name == "SECRET" })
			if err != nil {
				t.Fatal(err)
			}
			if got := test.get(c); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func password(c *Config) string { return c.Password }

func multisite(c *Config) string {
	if c.Multisite {
		return "many"
	}
	return "one"
}

func TestWhatPHPWouldHaveToTellIsRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change [2]string
		want   string // in the error
	}{
		"missing":          {[2]string{`'DB_NAME'`, `'NAME'`}, "DB_NAME is not set"},
		"included":         {[2]string{`define( 'DB_NAME', 'shop' )`, `require __DIR__ . '/db.php'`}, "the one that line 3 includes"},
		"Bedrock":          {[2]string{`define( 'DB_NAME'`, `Config::define( 'DB_NAME'`}, "DB_NAME is not set"},
		"parts":            {[2]string{`'hunter2'`, `'hunter' . '2'`}, "line 5: DB_PASSWORD is put together from parts"},
		"a file":           {[2]string{`'hunter2'`, `trim( file_get_contents( '/x' ) )`}, "line 5: DB_PASSWORD is computed"},
		"a choice":         {[2]string{`'hunter2'`, `$x ? 'hunter2' : 'hunter3'`}, "DB_PASSWORD is computed"},
		"a variable":       {[2]string{`'hunter2'`, `$secret`}, "DB_PASSWORD is a variable's value"},
		"in a string":      {[2]string{`'hunter2'`, `"hunter2$x"`}, "a string that PHP puts together"},
		"in a string, {":   {[2]string{`'hunter2'`, `"hunter2{$x}"`}, "a string that PHP puts together"},
		"another constant": {[2]string{`'hunter2'`, `SECRET`}, "another constant's value"},
		"a shell":          {[2]string{`'hunter2'`, "`cat hunter2`"}, "a string that PHP puts together"},
		"branches": {[2]string{`$table_prefix`, "define( 'DB_PASSWORD', 'hunter3' );\n$table_prefix"},
			"lines 5 and 7: DB_PASSWORD has different values"},
		"the environment":  {[2]string{`'hunter2'`, `getenv( 'SECRET' )`}, "run this command with SECRET=…"},
		"more than getenv": {[2]string{`'hunter2'`, `getenv( 'SECRET' ) . 'x'`}, "put together from parts"},
		"a prefix appended": {[2]string{`$table_prefix = 'wp_';`, "$table_prefix = 'wp_';\n$table_prefix .= 'x';"},
			"$table_prefix is changed there"},
		"endless": {[2]string{`'hunter2'`, "f( 'hunter2'" + strings.Repeat(" + 1", maxTokens) + " )"},
			"more than this command reads"},
		"never closed":   {[2]string{`'hunter2' )`, `'hunter2`}, "DB_PASSWORD"},
		"a path as host": {[2]string{`'localhost'`, `'/run/mysqld.sock'`}, "WordPress wants a colon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse(usual(strings.Replace(plain, test.change[0], test.change[1], 1)), noEnv)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	if _, err := Parse(make([]byte, maxSize+1), noEnv); err == nil {
		t.Error("a file without end is read")
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Host{
		"localhost": {Local: true}, "": {Local: true}, "LOCALHOST:3307": {Local: true},
		"db": {Address: "db:3306"}, "db.example.com:3307": {Address: "db.example.com:3307"}, "127.0.0.1": {Address: "127.0.0.1:3306"},
		":/run/my.sock": {Socket: "/run/my.sock"}, "localhost:/run/my.sock": {Socket: "/run/my.sock"},
		"::1": {Address: "[::1]:3306"}, "[::1]": {Address: "[::1]:3306"}, "[fd00::2]:3307": {Address: "[fd00::2]:3307"},
		"p:db": {Address: "db:3306"},
	} {
		if got, err := ParseHost(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"/run/my.sock", "db:port", "a:b:c", "[::1"} {
		if got, err := ParseHost(text); err == nil {
			t.Errorf("%q is taken as %+v", text, got)
		}
	}
}

// PHP itself gives the values of its strings.
func TestStringsAreWhatPHPMakesOfThem(t *testing.T) {
	t.Parallel()
	for i, literal := range []string{
		`'a\'b'`, `'a\\b'`, `'a\b\\'`, `"a\tb\n\r\v\e\f"`, `"\"\$\\"`, `"\101\1018\7\377"`, `"\x41\x4\xg"`, `"\u{41}\u{1F600}\u"`,
		`"$ $1 {x} \{"`, `"'"`, `'"'`, `"a\z\'"`, `''`, `""`, "'a\nb'", `"50%"`,
	} {
		file := filepath.Join(t.TempDir(), "x.php")
		if err := os.WriteFile(file, []byte("<?php\necho "+literal+";"), 0o600); err != nil {
			t.Fatal(err)
		}
		want, err := exec.CommandContext(t.Context(), "php", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, want)
		}
		got := scan([]byte("<?php " + literal))[0]
		if got.kind != tokenText || got.text != string(want) {
			t.Errorf("%d: %s is %q, PHP says %q", i, literal, got.text, want)
		}
	}
}
