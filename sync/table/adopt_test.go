package table_test

import (
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// A hash that a plugin wrote with phpredis becomes values for the table; refused names the fields that the table does not take.
func TestAdopt(t *testing.T) {
	t.Parallel()
	d := &table.Definition{
		Table: "t", Key: "ticket_id", Revision: "revision", Extra: "extra", DeletedAt: "deleted_at", CreatedAt: "created_at",
		Columns: []table.Column{
			{Field: "customer_id", Kind: table.Integer, Bits: 64, Nullable: true},
			{Field: "count", Kind: table.Integer, Bits: 8, Default: table.Default{Source: table.Literal, Text: "7"}},
			{Field: "subject", Kind: table.Varchar, MaxChars: 10, Charset: "utf8mb4"},
			{Field: "created_at", Kind: table.Datetime},
			{Field: "seen_at", Kind: table.Datetime, Digits: 3, Nullable: true},
			{Field: "deleted_at", Kind: table.Datetime, Nullable: true},
		},
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	adopt := func(pairs ...string) (taken, refused string) {
		var stray ticket.Fields
		var shown, reasons []string
		for i := 0; i < len(pairs); i += 2 {
			stray = append(stray, ticket.Field{Name: pairs[i], Value: ticket.Text(pairs[i+1])})
		}
		fields, errs := d.Adopt(812, stray)
		for _, f := range fields {
			text := f.Value.Text()
			if f.Value.IsNull() {
				text = "NULL"
			}
			shown = append(shown, f.Name+"="+text+";")
		}
		for _, err := range errs {
			reasons = append(reasons, err.Field+":"+string(err.Rule)+";")
		}
		return strings.Join(shown, ""), strings.Join(reasons, "")
	}
	for _, c := range []struct {
		given         []string
		taken, refuse string
	}{
		{[]string{"customer_id", "7", "subject", ""}, "customer_id=7;subject=;", ""},
		{[]string{"customer_id", "", "count", ""}, "customer_id=NULL;", ""},
		{[]string{"created_at", "1700000000"}, "created_at=2023-11-14 22:13:20;", ""},
		{[]string{"seen_at", "1700000000.25"}, "seen_at=2023-11-14 22:13:20.250;", ""},
		{[]string{"seen_at", "0", "created_at", ""}, "seen_at=NULL;", ""},
		{[]string{"created_at", "2023-11-14T22:13:20Z"}, "created_at=2023-11-14 22:13:20;", ""},
		{[]string{"id", "812", "ticket_id", "812", "order", "5"}, "order=5;", ""},
		{[]string{"ticket_id", "813"}, "", "ticket_id:reserved;"},
		{[]string{"created_at", "yesterday"}, "", "created_at:date;"},
		{
			[]string{"subject", "far too long for this", "customer_id", "x", "count", "3"},
			"count=3;", "subject:length;customer_id:number;",
		},
		{[]string{"_lock", "1", "Subject", "x"}, "", "_lock:reserved;Subject:unknown;"},
		{[]string{"deleted_at", ""}, "", ""},
		{[]string{"deleted_at", "1700000000"}, "", "deleted_at:reserved;"},
	} {
		if taken, refused := adopt(c.given...); taken != c.taken || refused != c.refuse {
			t.Errorf("%q: took %q, refused %q; want %q and %q", c.given, taken, refused, c.taken, c.refuse)
		}
	}
}
