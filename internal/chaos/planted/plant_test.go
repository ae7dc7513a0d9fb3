package planted

import (
	"context"
	"encoding/json"
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
	if n := strings.Count(string(source), p.text); n != 1 {
		t.Fatalf("%q is %d times in %s, not once: the plant does not fit the code any more", p.text, n, p.file)
	}
	dir := testenv.Folder(t)
	changed, overlay := filepath.Join(dir, filepath.Base(p.file)), filepath.Join(dir, "overlay.json")
	write(t, changed, []byte(strings.Replace(string(source), p.text, p.instead, 1)))
	replace, err := json.Marshal(map[string]map[string]string{"Replace": {path: changed}})
	if err != nil {
		t.Fatal(err)
	}
	write(t, overlay, replace)
	binary = filepath.Join(dir, "ticketd")
	if err := testenv.BuildTicketd(context.Background(), binary, "-overlay", overlay); err != nil {
		t.Fatal(err)
	}
	return binary
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
