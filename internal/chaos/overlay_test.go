package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// clockFolders hold the code that asks for the time.
var clockFolders = []string{"daemon", "internal/ticket", "store", "sync"}

// skewedBinary is a ticketd with an adjustable wall clock: its own calls of time.Now are replaced in copies that only the
// compiler sees (go build -overlay), so that the daemon's code stays unchanged.
var skewedBinary = sync.OnceValues(func() (string, error) {
	parent, err := testenv.ProcessFolder()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, "skewed-")
	if err != nil {
		return "", err
	}
	overlay := map[string]map[string]string{"Replace": {}}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	for _, folder := range clockFolders {
		if err := skewFolder(filepath.Join(root, folder), dir, overlay["Replace"]); err != nil {
			return "", err
		}
	}
	text, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "ticketd")
	return binary, testenv.BuildTicketd(context.Background(), binary, "-overlay", file)
})

// ticketdBinary is the daemon that the suite runs.
func ticketdBinary(t *testing.T) string {
	t.Helper()
	path, err := skewedBinary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// skewFolder replaces the files below a folder that ask for the time.
func skewFolder(folder, to string, replace map[string]string) error {
	return filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text, err := skewed(string(source))
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if text == "" {
			return nil
		}
		copied := filepath.Join(to, fmt.Sprintf("%d.go", len(replace)))
		replace[path] = copied
		return os.WriteFile(copied, []byte(text), 0o600)
	})
}

// errDeadline refuses code whose deadlines come from the wall clock: context.WithTimeout counts from the clock that its timers
// have.
var errDeadline = errors.New("context.WithDeadline with a time of the wall clock: use context.WithTimeout")

// skewed is a file with the suite's clock instead of time.Now; empty if the file does not ask for the time.
func skewed(source string) (string, error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, "", source, parser.SkipObjectResolution)
	if err != nil {
		return "", err
	}
	var calls []int
	var refused error
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			of, _ := selector.X.(*ast.Ident)
			switch {
			case of == nil:
			case of.Name == "time" && selector.Sel.Name == "Now":
				calls = append(calls, files.Position(of.Pos()).Offset)
			case of.Name == "context" && selector.Sel.Name == "WithDeadline":
				refused = errDeadline
			}
		}
		return true
	})
	if refused != nil {
		return "", refused
	}
	if len(calls) == 0 {
		return "", nil
	}
	for _, at := range slices.Backward(calls) {
		source = source[:at] + "skew" + source[at+len("time"):]
	}
	name := files.Position(file.Name.End()).Offset
	return source[:name] + "; import \"github.com/ticketd/ticketd/internal/chaos/skew\"" + source[name:] +
		"\nvar _ = time.Now // the import may have no other use\n", nil
}

// Every call for the time in the daemon's code is replaced, and no other code.
func TestSkewed(t *testing.T) {
	t.Parallel()
	const before = "// Doc.\npackage a\n\nimport \"time\"\n\nvar now, text, kept = time.Now, \"time.Now\", time.Second\n\n" +
		"func f() time.Time { return time.Now().UTC() }\n"
	after, err := skewed(before)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"skew.Now, \"time.Now\", time.Second", "return skew.Now().UTC()", "package a; import "} {
		if !strings.Contains(after, want) {
			t.Errorf("no %q in\n%s", want, after)
		}
	}
	if text, err := skewed("package a\n\nvar now = later.Now()\n"); text != "" || err != nil {
		t.Errorf("a file that does not ask for the time became %q, %v", text, err)
	}
	if _, err := skewed("package a\n\nvar c, _ = context.WithDeadline(ctx, until)\n"); !errors.Is(err, errDeadline) {
		t.Errorf("a deadline from the wall clock: %v", err)
	}
}
