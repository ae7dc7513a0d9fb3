package wpconfig

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// seeds are files as people write them, and pieces that are easily misread.
func seeds() [][]byte {
	files := [][]byte{usual(plain)}
	for _, text := range []string{
		"<?php define('DB_NAME', \"a$b\");", "<?php $table_prefix .= `x`;", "<?= <<<X\nX;\n?> x <?php #", "<?php \"\\u{",
		"<?php `a\\` define('DB_NAME','x')`; 'y';", "<?php \"{$a[\"b\"]}\"; 'c';", "<?phpx 'a'; <?php 'b';", "<?PHP\n'a'?>'b'<?php 'c'",
		"<?php <<<'X'\n 'a'\n  X . 'b';", "<?php # 'a' ?> 'b' <?php /* 'c' */ 'd' // 'e'\r'f'\n'g'", "<?php #[A('b')]\nfoo();",
		"<?php 'a\\'b' . \"\\x41\\u{e9}\\101\\e\\$\\z\";",
		"<?php <<<X\r 'a'\r X . 'b'; <<<Y\nY\n. 'c';", "<?php \"\\u{110000}\";", "<?php b'a' . b\"b\" . B'c';",
		"<?php \"$\" . \"{$\" . \"$1\" . \"${a}\" . 'z';", "<?php __halt_compiler(); 'a'",
		"<?php <<<X\n{$a['b']} \\X\nX_\nX\n. 'c';",
		"<?php define( 'DB_PASSWORD', getenv( 'X' ) ?: 'hunter2-hunter2' );", "<?php const DB_NAME = 'a', DB_USER = 'b';",
		"<?php $a->define('DB_NAME','x'); namespace\\define('DB_USER','y');",
	} {
		files = append(files, []byte(text))
	}
	return files
}

// FuzzParse looks that nothing makes the parser fail, hang or lose its place in the file; that what it refuses it refuses with a
// setting's name or a line, and that no password is in a message.
func FuzzParse(f *testing.F) {
	for _, file := range seeds() {
		f.Add(file)
	}
	for _, slow := range []string{
		strings.Repeat("define('DB_NAME',", 10_000), // takes minutes where each is read to the end of the file
		strings.Repeat("#\n", 100_000),
		"$a = 'x';" + strings.Repeat("$a .= $a;", 5000),
		"$a = array( 1, 2 );" + strings.Repeat("$a = array( $a, $a );", 5000) + "if ( $a == $a ) f();",
		"function f() { if ( time() ) f(); f(); f(); } f();",
		strings.Repeat("$a = str_replace( 'x', $a . 'xx', $a . 'x' );", 3000),
		strings.Repeat("$a", 3000) + strings.Repeat(" = 1; if ( time() > 3 ) $b = 3;", 3000),
		strings.Repeat("((", 10_000), strings.Repeat("if ( time() ) { ", 10_000), "include __FILE__;",
	} {
		f.Add([]byte("<?php " + slow))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		lines := 1 + strings.Count(string(src), "\n") + strings.Count(string(src), "\r")
		for _, token := range scan(src) {
			if token.line < 1 || token.line > lines {
				t.Fatalf("a token in line %d of %d", token.line, lines)
			}
		}
		c, err := Parse(src, surroundings())
		if (c == nil) == (err == nil) {
			t.Fatalf("%+v and %v", c, err)
		}
		if err == nil {
			return
		}
		for message := range strings.Lines(err.Error()) {
			named := func(name string) bool { return strings.Contains(message, name) }
			if !slices.ContainsFunc(looked, named) && !named("bytes long") {
				t.Errorf("no setting is named in %q", message)
			}
		}
		for _, of := range scan(src) {
			once := len(of.text) >= 12 && of.kind == tokenText && bytes.Count(src, []byte(of.text)) == 1 // else by chance
			if once && strings.Contains(err.Error(), of.text) && !strings.ContainsAny(of.text, "$/") {
				t.Errorf("the error shows a secret: %v", err)
			}
		}
	})
}

// FuzzHost reads anything as DB_HOST: what is taken is one of the three ways to a server, and written down as an address it is
// the same one.
func FuzzHost(f *testing.F) {
	for _, text := range []string{
		"localhost", "", "LOCALHOST:3307", "db.example.com:3307", ":/run/my.sock", "localhost:/run/my.sock", "::1", "[fd00::2]:3307",
		"p:db",
		"/run/my.sock", "a:b:c", "[::1", "fe80::1%eth0", "db:", "db:99999",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		h, err := ParseHost(text)
		if err != nil {
			if h != (Host{}) {
				t.Errorf("%q: %+v and %v", text, h, err)
			}
			return
		}
		ways := 0
		for _, there := range []bool{h.Socket != "", h.Address != "", h.Local} {
			if there {
				ways++
			}
		}
		if ways != 1 || h.Socket != "" && h.Socket[0] != '/' {
			t.Errorf("%q: %+v", text, h)
		}
		if h.Address != "" {
			if again, err := ParseHost(h.Address); err != nil || again != h {
				t.Errorf("%q: %+v, which is then %+v (%v)", text, h, again, err)
			}
		}
	})
}

// FuzzStrings asks PHP's own scanner what is a string in a file's code, and what in a comment, in another string or outside of
// PHP: it finds the same ones, in the same lines, with the same values.
func FuzzStrings(f *testing.F) {
	for _, file := range seeds() {
		f.Add(file)
	}
	php := startPHP(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		want, whole, err := php.strings(src)
		if err != nil {
			t.Fatal(err)
		}
		if !whole || left(src) {
			return
		}
		var got []token
		for _, token := range scan(src) {
			if token.kind == tokenText {
				token.kind = 0
				got = append(got, token)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q has the strings %v, PHP finds %v", src, got, want)
		}
	})
}

// left says that a file has what this package leaves to PHP: a string with an expression in it, which may hold strings of its
// own, and text behind the end of the program.
func left(src []byte) bool {
	for _, text := range []string{"{$", "${", "__halt_compiler"} {
		if bytes.Contains(bytes.ToLower(src), []byte(text)) {
			return true
		}
	}
	return false
}

// php is a PHP that takes files apart until it is stopped.
type php struct {
	in  io.WriteCloser
	out io.Reader
}

func startPHP(tb testing.TB) *php {
	tb.Helper()
	cmd := exec.CommandContext(context.Background(), "php", "-d", "short_open_tag=0", "-d", "display_errors=stderr",
		"testdata/strings.php")
	var p php
	var err error
	if p.in, err = cmd.StdinPipe(); err != nil {
		tb.Fatal(err)
	}
	if p.out, err = cmd.StdoutPipe(); err != nil {
		tb.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = p.in.Close()
		if err := cmd.Wait(); err != nil {
			tb.Errorf("PHP: %v\n%s", err, stderr.Bytes())
		}
	})
	return &p
}

// strings returns the strings of a file, and whether PHP finds it whole.
func (p *php) strings(src []byte) (found []token, whole bool, err error) {
	if _, err := p.in.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(src))), src...)); err != nil {
		return nil, false, fmt.Errorf("ask PHP: %w", err)
	}
	number := func() (n uint32) {
		if err == nil {
			err = binary.Read(p.out, binary.BigEndian, &n)
		}
		return n
	}
	count := number()
	if count == 1<<32-1 {
		return nil, false, err
	}
	for i := uint32(0); i < count && err == nil; i++ {
		line := number()
		text := make([]byte, number())
		if err == nil {
			_, err = io.ReadFull(p.out, text)
		}
		found = append(found, token{text: string(text), line: int(line)})
	}
	return found, true, err
}
