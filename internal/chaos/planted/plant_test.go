package planted

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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

// build compiles the daemon with the fault.
func (p *plant) build(t *testing.T) (binary string) {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", p.file))
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text, err := p.in(string(source))
	if err != nil {
		t.Fatal(err)
	}
	dir := testenv.Folder(t)
	changed, overlay := filepath.Join(dir, filepath.Base(p.file)), filepath.Join(dir, "overlay.json")
	write(t, changed, []byte(text))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, overlay, replace)
	binary = filepath.Join(dir, "ticketd")
	if err := testenv.BuildTicketd(t.Context(), binary, "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return binary
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
