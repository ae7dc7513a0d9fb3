package site

import (
	"encoding/base64"
	"encoding/json"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
	"github.com/ticketd/ticketd/sync/mysql"
)

// cursor is where a page ended, and of which sort. Clients hold it as an opaque text.
type cursor struct {
	Sort      protocol.Sort `json:"s"`
	Ascending bool          `json:"a,omitempty"`
	Value     *string       `json:"v,omitempty"` // nil: NULL
	ID        ticket.ID     `json:"i"`
}

// encodeCursor writes the next page's cursor; empty where there is none.
func encodeCursor(p *protocol.ListParams, next *mysql.Mark) (string, error) {
	if next == nil {
		return "", nil
	}
	c := cursor{Sort: p.Sort, Ascending: p.Ascending, ID: next.ID}
	if !next.Value.IsNull() {
		text := next.Value.Text()
		c.Value = &text
	}
	text, err := json.Marshal(c)
	return base64.RawURLEncoding.EncodeToString(text), err
}

// decodeCursor reads the cursor of a request; nil where it has none. One of another sort would begin the page anywhere.
func decodeCursor(p *protocol.ListParams) (*mysql.Mark, error) {
	if p.After == "" {
		return nil, nil //nolint:nilnil // the first page comes after no mark, which is no error
	}
	text, err := base64.RawURLEncoding.DecodeString(p.After)
	var c cursor
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	switch {
	case err != nil || !c.ID.Valid():
		return nil, protocol.Invalid("after", "it is no cursor: give the next of the page before, unchanged")
	case c.Sort != p.Sort || c.Ascending != p.Ascending:
		return nil, protocol.Invalid("after", "it belongs to another sort or order: begin again at the first page")
	}
	mark := &mysql.Mark{ID: c.ID}
	if c.Value != nil {
		mark.Value = ticket.Text(*c.Value)
	}
	return mark, nil
}
