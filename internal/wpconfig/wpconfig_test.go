package wpconfig

import (
	"io/fs"
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

// files are the files of a test by their paths.
type files map[string]string

func (f files) Read(path string) ([]byte, error) {
	if text, there := f[path]; there {
		return []byte(text), nil
	}
	return nil, fs.ErrNotExist
}

func (f files) Exists(path string) bool { _, there := f[path]; return there }

// surroundings are of a WordPress in /srv without other files.
func surroundings() *Source {
	return &Source{Path: "/srv/wp-config.php", Root: "/srv", Getenv: noEnv, Files: files{}}
}

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
		"getenv":         {[2]string{`'hunter2'`, `getenv( 'DB_PASS' )`}, password, "from outside"},
		"getenv or else": {[2]string{`'hunter2'`, `getenv("DB_PASS") ?: 'no'`}, password, "from outside"},
		"$_ENV":          {[2]string{`'hunter2'`, `$_ENV['DB_PASS'] ?? 'no'`}, password, "from outside"},
		"$_SERVER":       {[2]string{`'hunter2'`, `$_SERVER['DB_PASS']`}, password, "from outside"},
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
			source := surroundings()
			source.Getenv = func(name string) (string, bool) { return "from outside", name == "DB_PASS" }
			c, err := Parse(usual(text), source)
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
		"missing":            {[2]string{`'DB_NAME'`, `'NAME'`}, "DB_NAME is not set"},
		"included":           {[2]string{`define( 'DB_NAME', 'shop' )`, `require __DIR__ . '/db.php'`}, "line 3 includes a file"},
		"Bedrock":            {[2]string{`define( 'DB_NAME'`, `Config::define( 'DB_NAME'`}, "line 3 has a call of a method"},
		"a file":             {[2]string{`'hunter2'`, `trim( file_get_contents( '/x' ) )`}, "in a file that cannot be read here"},
		"a choice":           {[2]string{`'hunter2'`, `time() ? 'hunter2' : 'hunter3'`}, "DB_PASSWORD is computed by time()"},
		"a variable":         {[2]string{`'hunter2'`, `$secret`}, "DB_PASSWORD has the value of $secret, which is not set (line 5)"},
		"in a string":        {[2]string{`'hunter2'`, `"hunter2$x"`}, "a string that PHP puts together"},
		"in a string, {":     {[2]string{`'hunter2'`, `"hunter2{$x}"`}, "a string that PHP puts together"},
		"another constant":   {[2]string{`'hunter2'`, `SECRET`}, "the value of the constant SECRET"},
		"a shell":            {[2]string{`'hunter2'`, "`cat hunter2`"}, "a string that PHP puts together"},
		"the environment":    {[2]string{`'hunter2'`, `getenv( 'DB_PASS' )`}, "run this command with DB_PASS=…"},
		"more than getenv":   {[2]string{`'hunter2'`, `getenv( 'DB_PASS' ) . 'x'`}, "run this command with DB_PASS=…"},
		"root's environment": {[2]string{`'hunter2'`, `getenv( 'AWS_SECRET_ACCESS_KEY' )`}, "--env AWS_SECRET_ACCESS_KEY"},
		"... with a default": {[2]string{`'hunter2'`, `getenv( 'AWS_SECRET_ACCESS_KEY' ) ?: 'x'`}, "--env AWS_SECRET_ACCESS_KEY"},
		"endless": {[2]string{`'hunter2'`, "f( 'hunter2'" + strings.Repeat(" + 1", maxTerms+1) + " )"},
			"more than this command reads"},
		"never closed":   {[2]string{`'hunter2' )`, `'hunter2`}, "DB_PASSWORD"},
		"a path as host": {[2]string{`'localhost'`, `'/run/mysqld.sock'`}, "WordPress wants a colon"},
		"a line's end":   {[2]string{`'localhost'`, `"db\nx"`}, "DB_HOST holds a control character"},
		"flags": {[2]string{`$table_prefix`, "define( 'MYSQL_CLIENT_FLAGS', time() );\n$table_prefix"},
			"MYSQL_CLIENT_FLAGS is computed by time()"},
		"a condition": {[2]string{`$table_prefix = 'wp_'`, "if ( time() > 3 ) { $table_prefix = 'a_'; } else { $table_prefix = " +
			"'b_'; }"},
			"$table_prefix is not sure: line 7 has a condition"},
		"the host": {[2]string{`$table_prefix = 'wp_'`, "$table_prefix = 'shop' === $_SERVER['HTTP_HOST'] ? 'a_' : 'b_'"}, "--url"},
		"a loop": {[2]string{`$table_prefix = 'wp_';`, "$table_prefix = 'wp_'; for ( $i = 0; $i < 2; $i++ ) { f(); }"},
			"a for, which"},
		"a function": {[2]string{`$table_prefix = 'wp_';`, "$table_prefix = 'wp_'; switch_site();"},
			"line 7 calls switch_site(), which this command does not follow"},
		"the page ends": {[2]string{`$table_prefix`, "exit;\n$table_prefix"}, "the file ends the page before WordPress begins"},
		"a class":       {[2]string{`$table_prefix = 'wp_';`, "$table_prefix = 'wp_'; new Site();"}, "a new, which"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := surroundings()
			source.Getenv = func(name string) (string, bool) { return "hunter4", name == "AWS_SECRET_ACCESS_KEY" }
			_, err := Parse(usual(strings.Replace(plain, test.change[0], test.change[1], 1)), source)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("error %v, want %q", err, test.want)
			}
			if strings.Contains(err.Error(), "hunter") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
	if _, err := Parse(make([]byte, MaxSize+1), surroundings()); err == nil {
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
