package e2e

import (
	"bytes"
	"os"
	"testing"

	"github.com/ticketd/ticketd/internal/testenv"
)

// A program that calls methods by names that are made at run time keeps the methods of all its types: templates do so. Without
// them the program is a third smaller, and an idle daemon by a seventh.
func TestProgramHasNoTemplates(t *testing.T) {
	t.Parallel()
	program, err := os.ReadFile(testenv.TicketdBinary(t))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(program, []byte("text/template.(*state).evalField")) {
		t.Error("the program executes templates; `go build -ldflags=-dumpdep ./cmd/ticketd` says which package does")
	}
}
