package table_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 678_900_000, time.FixedZone("", 3600))

func tickets(t *testing.T, more ...table.Column) *table.Definition {
	t.Helper()
	d := &table.Definition{
		Table: "tickets", Key: "ticket_id", Revision: "revision",
		DeletedAt: "deleted_at", CreatedAt: "created_at", UpdatedAt: "updated_at",
		Columns: append([]table.Column{
			{Field: "status", Kind: table.Varchar, MaxChars: 9, Default: table.Default{Source: table.Literal, Text: "open"}},
			{Field: "category", Kind: table.Varchar, MaxChars: 9, Nullable: true,
				Default: table.Default{Source: table.NullValue}},
			{Field: "seen", Kind: table.Datetime, Digits: 3, Default: table.Default{Source: table.Now}},
			{Field: "created_at", Kind: table.Datetime, Default: table.Default{Source: table.Server}},
			{Field: "updated_at", Kind: table.Datetime, Nullable: true, Default: table.Default{Source: table.NullValue}},
			{Field: "deleted_at", Kind: table.Integer, Bits: 64, Nullable: true,
				Default: table.Default{Source: table.NullValue}},
		}, more...),
	}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCompleteFillsInDefaults(t *testing.T) {
	t.Parallel()
	given := ticket.Fields{{Name: "category", Value: ticket.Text("a")}, {Name: "caller", Value: ticket.Text("b")}}
	got, defaults, err := tickets(t).Complete(given, now)
	if err != nil {
		t.Fatal(err)
	}
	want := ticket.Fields{
		{Name: "category", Value: ticket.Text("a")},
		{Name: "caller", Value: ticket.Text("b")},
		{Name: "created_at", Value: ticket.Text("2026-01-02 02:04:05")},
		{Name: "updated_at", Value: ticket.Text("2026-01-02 02:04:05")},
		{Name: "status", Value: ticket.Text("open")}, // the first of the defaults
		{Name: "seen", Value: ticket.Text("2026-01-02 02:04:05.678")},
		{Name: "deleted_at", Value: ticket.Null},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if defaults != 3 {
		t.Errorf("%d defaults, want the last 3", defaults)
	}
	if len(given) != 2 {
		t.Error("the caller's fields were changed")
	}
}

func TestCompleteMissesWhatHasNoDefault(t *testing.T) {
	t.Parallel()
	d := tickets(t, table.Column{Field: "queue", Kind: table.Varchar, MaxChars: 9})
	_, _, err := d.Complete(nil, now)
	var refused *table.FieldError
	if !errors.As(err, &refused) || refused.Field != "queue" || refused.Rule != table.RuleRequired {
		t.Errorf("error %v, want queue to be required", err)
	}
	if got := d.Required(); len(got) != 1 || d.Columns[got[0]].Field != "queue" {
		t.Errorf("required %v, want queue alone", got)
	}
}

func TestCompleteLeavesToTheServerWhatOnlyItKnows(t *testing.T) {
	t.Parallel()
	d := tickets(t, table.Column{Field: "uuid", Kind: table.Char, MaxChars: 36,
		Default: table.Default{Source: table.Server}},
		table.Column{Field: "sum", Kind: table.Integer, Bits: 32, Generated: true})
	got, _, err := d.Complete(nil, now)
	if err != nil {
		t.Fatal(err)
	}
	for _, field := range []string{"uuid", "sum"} {
		if _, given := got.Get(field); given {
			t.Errorf("%s was filled in", field)
		}
	}
	if !d.Computes() {
		t.Error("Computes is false")
	}
}

func TestTouchAndSoftDelete(t *testing.T) {
	t.Parallel()
	d := tickets(t)
	own := ticket.Fields{{Name: "updated_at", Value: ticket.Text("2020-01-01 00:00:00")}}
	if got, _ := d.Touch(own, now).Get("updated_at"); got.Text() != "2020-01-01 00:00:00" {
		t.Errorf("the caller's time was replaced by %q", got.Text())
	}
	fields, soft := d.SoftDelete(now)
	want := ticket.Fields{
		{Name: "deleted_at", Value: ticket.Text("1767319445")},
		{Name: "updated_at", Value: ticket.Text("2026-01-02 02:04:05")},
	}
	if !soft || !reflect.DeepEqual(fields, want) {
		t.Errorf("soft delete %v %v, want %v", soft, fields, want)
	}
	hard := definition(t, "")
	if fields, soft := hard.SoftDelete(now); soft || fields != nil {
		t.Errorf("soft delete %v without a column for it", fields)
	}
	if fields := hard.Touch(nil, now); fields != nil {
		t.Errorf("touched %v without a column for it", fields)
	}
}

func TestDefinitionSurvivesJSON(t *testing.T) {
	t.Parallel()
	d := definition(t, "extra")
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var back table.Definition
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(d, &back) {
		t.Errorf("got  %+v\nwant %+v", back, d)
	}
	if !back.IsInteger("int") || back.IsInteger("varchar") || back.IsInteger("nobody") {
		t.Error("IsInteger is wrong after JSON")
	}
}

func TestDefinitionThatContradictsItself(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no key":      `{"table":"t","revision":"r"}`,
		"field twice": `{"table":"t","key":"k","revision":"r","columns":[{"field":"a"},{"field":"a"}]}`,
		"no column":   `{"table":"t","key":"k","revision":"r","updated_at":"u"}`,
		"no JSON":     `[]`,
	} {
		if err := json.Unmarshal([]byte(text), new(table.Definition)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
