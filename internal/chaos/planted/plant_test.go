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

// plant is a fault in the daemon: a piece of a file's text, which is there exactly once, and what stands there instead. The
// daemon's own code knows nothing of it; the compiler alone sees the changed copy (go build -overlay, which covers embedded
// files).
type plant struct {
	file          string // from the module's root
	text, instead string
}

// builds are the daemons with faults, each built once.
var builds sync.Map

// build compiles the daemon with faults, once for each name.
func build(t *testing.T, name string, plants []plant) (binary string) {
	t.Helper()
	once, _ := builds.LoadOrStore(name, sync.OnceValues(func() (string, error) { return compile(plants) }))
	compiled, _ := once.(func() (string, error))
	binary, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

func compile(plants []plant) (binary string, err error) {
	parent, err := testenv.ProcessFolder()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(parent, "planted-")
	if err != nil {
		return "", err
	}
	texts := map[string]string{} // changed files, by their paths
	for i := range plants {
		p := &plants[i]
		path, err := filepath.Abs(filepath.Join("..", "..", "..", p.file))
		if err != nil {
			return "", err
		}
		if _, changed := texts[path]; !changed {
			source, err := os.ReadFile(path)
			if err != nil {
				return "", err
			}
			texts[path] = string(source)
		}
		if texts[path], err = p.in(texts[path]); err != nil {
			return "", err
		}
	}
	overlay := map[string]map[string]string{"Replace": {}}
	for path, text := range texts {
		changed := filepath.Join(dir, strconv.Itoa(len(overlay["Replace"]))+filepath.Ext(path))
		overlay["Replace"][path] = changed
		if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
			return "", err
		}
	}
	replace, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, replace, 0o600); err != nil {
		return "", err
	}
	binary = filepath.Join(dir, "ticketd")
	return binary, testenv.BuildTicketd(context.Background(), binary, "-overlay", file)
}

// in puts the fault into the file's text. The error says that it does not fit the code any more.
func (p *plant) in(source string) (string, error) {
	if n := strings.Count(source, p.text); n != 1 {
		return "", fmt.Errorf("the plant does not fit the code any more: %q is %d times in %s, not once", p.text, n, p.file)
	}
	return strings.Replace(source, p.text, p.instead, 1), nil
}

// A plant whose piece is not there, or more than once, is told.
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
