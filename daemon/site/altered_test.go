package site

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/table"
)

// The table got a column, and the status a new length. A value that the site refuses by the old definition is judged again by the
// new definition, which is then on disk, too. Without the second judgement each call is refused (tried by hand).
func TestAlteredTable(t *testing.T) {
	t.Parallel()
	long := protocol.Field{Name: "status", Value: protocol.Text(strings.Repeat("x", 40))}
	added := protocol.Field{Name: "team", Value: protocol.Text("blue")}
	for name, call := range map[string]func(*desk, protocol.Field) error{
		"create": func(d *desk, f protocol.Field) error {
			_, err := d.Create(t.Context(), &protocol.CreateParams{Fields: []protocol.Field{f}})
			return err
		},
		"set": func(d *desk, f protocol.Field) error {
			_, err := d.Set(t.Context(), &protocol.SetParams{ID: 1, Fields: []protocol.Field{f}})
			return err
		},
		"set_many": func(d *desk, f protocol.Field) error {
			result, err := d.SetMany(t.Context(), &protocol.SetManyParams{
				Tickets: []protocol.TicketFields{{ID: 1, Fields: []protocol.Field{f}}},
			})
			if err == nil && result.Outcomes[0].Err != nil {
				err = result.Outcomes[0].Err
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newDesk(t)
			d.DefinitionFile = filepath.Join(t.TempDir(), "table.json")
			d.IDs = &counting{}
			for _, field := range []protocol.Field{long, added} {
				wantCode(t, call(d, field), protocol.CodeInvalid)
			}
			altered := *d.db.definition
			altered.Columns = append([]table.Column{{
				Field: "team", Name: "team", Kind: table.Varchar, MaxChars: 32, Nullable: true,
				Default: table.Default{Source: table.NullValue},
			}}, altered.Columns...)
			altered.Columns[1].MaxChars = 64
			if err := altered.Prepare(); err != nil {
				t.Fatal(err)
			}
			d.db.altered = &altered
			for _, field := range []protocol.Field{long, added} {
				if err := call(d, field); err != nil {
					t.Errorf("%s: %v", field.Name, err)
				}
			}
			if text, err := os.ReadFile(d.DefinitionFile); err != nil || !strings.Contains(string(text), `"team"`) {
				t.Errorf("kept on disk: %v, %s", err, text)
			}
		})
	}
}
