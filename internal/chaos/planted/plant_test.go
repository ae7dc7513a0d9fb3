package planted

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// plant is a fault in the daemon: a piece of a file's text that occurs exactly once, and its replacement. The daemon's own
// code stays unchanged; only the compiler sees the changed copy (go build -overlay, which covers embedded files).
type plant struct {
	file          string // from the module's root
	text, instead string
}

// program is the code that a scenario runs: the daemon, and the plugin's sources with the client class for PHP.
type program struct{ daemon, php string }

// phpSource is the folder of the plugin's sources.
var phpSource = filepath.Join("..", "..", "..", "php-client", "ticketd", "src")

// builds are the programs with faults, each built once.
var builds sync.Map

// build makes the program with faults, once for each name.
func build(t *testing.T, name string, plants []plant) program {
	t.Helper()
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() (program, error) { return compile(plants) }))
	compiled, _ := once.(func() (program, error))
	p, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func compile(plants []plant) (program, error) {
	parent, err := testenv.ProcessFolder()
	if err != nil {
		return program{}, err
	}
	dir, err := os.MkdirTemp(parent, "planted-")
	if err != nil {
		return program{}, err
	}
	p := program{filepath.Join(dir, "ticketd"), filepath.Join(dir, "php")}
	changed, err := texts(plants)
	if err != nil {
		return program{}, err
	}
	if err := os.CopyFS(p.php, os.DirFS(phpSource)); err != nil {
		return program{}, err
	}
	source, err := filepath.Abs(phpSource)
	if err != nil {
		return program{}, err
	}
	overlay := map[string]map[string]string{"Replace": {}}
	for path, text := range changed {
		to := filepath.Join(dir, strconv.Itoa(len(overlay["Replace"]))+filepath.Ext(path))
		if below, err := filepath.Rel(source, path); err == nil && filepath.IsLocal(below) {
			to = filepath.Join(p.php, below)
		} else {
			overlay["Replace"][path] = to
		}
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return program{}, err
		}
	}
	replace, err := json.Marshal(overlay)
	if err != nil {
		return program{}, err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, replace, 0o600); err != nil {
		return program{}, err
	}
	return p, testenv.BuildTicketd(context.Background(), p.daemon, "-overlay", file)
}

// texts are the files with faults, by path.
func texts(plants []plant) (map[string]string, error) {
	texts := map[string]string{}
	for i := range plants {
		p := &plants[i]
		path, err := filepath.Abs(filepath.Join("..", "..", "..", p.file))
		if err != nil {
			return nil, err
		}
		if _, changed := texts[path]; !changed {
			source, err := os.ReadFile(path)
			if err != nil {
				return nil, err
			}
			texts[path] = string(source)
		}
		if texts[path], err = p.in(texts[path]); err != nil {
			return nil, err
		}
	}
	return texts, nil
}

// in puts the fault into the file's text. The error says that the fault no longer fits the code.
func (p *plant) in(source string) (string, error) {
	if n := strings.Count(source, p.text); n != 1 {
		return "", fmt.Errorf("the plant does not fit the code any more: %q is %d times in %s, not once", p.text, n, p.file)
	}
	return strings.Replace(source, p.text, p.instead, 1), nil
}

// A plant whose piece is missing, or occurs more than once, is an error.
func TestPlantFits(t *testing.T) {
	t.Parallel()
	p := plant{file: "a.go", text: "guard", instead: "nothing"}
	if got, err := p.in("a guard b"); got != "a nothing b" || err != nil {
		t.Errorf("it became %q (%v)", got, err)
	}
	for _, source := range []string{"a b", "guard guard"} {
		if got, err := p.in(source); err == nil {
			t.Errorf("%q became %q", source, got)
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
