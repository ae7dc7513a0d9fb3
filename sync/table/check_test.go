package table_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

const lastSecond = 1<<31 - 1

// columns has a column of each kind, named after the kind.
var columns = []table.Column{
	{Field: "int", Kind: table.Integer, Bits: 32},
	{Field: "tiny", Kind: table.Integer, Bits: 8, Nullable: true},
	{Field: "medium", Kind: table.Integer, Bits: 24, Unsigned: true},
	{Field: "big", Kind: table.Integer, Bits: 64},
	{Field: "ubig", Kind: table.Integer, Bits: 64, Unsigned: true},
	{Field: "bit", Kind: table.Bit, Bits: 3},
	{Field: "decimal", Kind: table.Decimal, Precision: 5, Scale: 2},
	{Field: "udecimal", Kind: table.Decimal, Precision: 5, Scale: 2, Unsigned: true},
	{Field: "float", Kind: table.Float, Bits: 32},
	{Field: "double", Kind: table.Float, Bits: 64},
	{Field: "udouble", Kind: table.Float, Bits: 64, Unsigned: true},
	{Field: "money", Kind: table.Float, Bits: 64, Precision: 5, Scale: 2},
	{Field: "char", Kind: table.Char, MaxChars: 3, Charset: "utf8mb4"},
	{Field: "varchar", Kind: table.Varchar, MaxChars: 3, Charset: "utf8mb4"},
	{Field: "utf8mb3", Kind: table.Varchar, MaxChars: 3, Charset: "utf8mb3"},
	{Field: "latin1", Kind: table.Varchar, MaxChars: 3, Charset: "latin1"},
	{Field: "ascii", Kind: table.Varchar, MaxChars: 3, Charset: "ascii"},
	{Field: "text", Kind: table.Text, MaxBytes: 4, Charset: "utf8mb4"},
	{Field: "blob", Kind: table.Blob, MaxBytes: 4},
	{Field: "binary", Kind: table.Binary, MaxBytes: 4},
	{Field: "date", Kind: table.Date},
	{Field: "datetime", Kind: table.Datetime},
	{Field: "datetime3", Kind: table.Datetime, Digits: 3},
	{Field: "timestamp", Kind: table.Timestamp, MaxUnix: lastSecond},
	{Field: "time", Kind: table.Time},
	{Field: "time2", Kind: table.Time, Digits: 2},
	{Field: "year", Kind: table.Year},
	{Field: "enum", Kind: table.Enum, Members: []string{"open", "Closed"}, FoldCase: true},
	{Field: "binenum", Kind: table.Enum, Members: []string{"open", "Closed"}},
	{Field: "set", Kind: table.Set, Members: []string{"a", "b", "c"}, FoldCase: true},
	{Field: "json", Kind: table.JSON, Depth: 3},
	{Field: "ucs2", Kind: table.Varchar, MaxChars: 3, Charset: "ucs2"},
	{Field: "swe7", Kind: table.Varchar, MaxChars: 3, Charset: "swe7", Characters: "\x00Z__azÅÅ"},
	{Field: "zero", Kind: table.Decimal, Precision: 5, Scale: 2, Unsigned: true, ZeroFill: true},
	{Field: "uuid", Kind: table.UUID},
	{Field: "inet4", Kind: table.INET4},
	{Field: "inet6", Kind: table.INET6},
	{Field: "point", Kind: table.Opaque, Nullable: true},
	{Field: "other", Kind: table.Other},
	{Field: "sum", Kind: table.Integer, Bits: 32, Generated: true},
}

func definition(t testing.TB, extra string) *table.Definition {
	t.Helper()
	d := &table.Definition{Table: "tickets", Key: "ticket_id", Revision: "revision", Extra: extra, Columns: slices.Clone(columns)}
	if err := d.Prepare(); err != nil {
		t.Fatal(err)
	}
	return d
}

// accepted values with the text that the database holds.
func TestCheckAccepts(t *testing.T) {
	t.Parallel()
	d := definition(t, "")
	for _, c := range []struct{ field, value, want string }{
		{"int", "-2147483648", "-2147483648"},
		{"int", "007", "7"},
		{"int", " +7\n", "7"},
		{"int", "-0", "0"},
		{"int", "1e2", "100"},
		{"int", "12.5e-1", "1"},
		{"int", "1.5", "2"},
		{"int", "-1.5", "-2"},
		{"int", ".5", "1"},
		{"int", "0e9999999999", "0"},
		{"medium", "16777215", "16777215"},
		{"medium", "-0.4", "0"},
		{"big", "9.223372036854775807e18", "9223372036854775807"},
		{"ubig", "18446744073709551615.4", "18446744073709551615"},
		{"bit", "7", "7"},
		{"decimal", "1.005", "1.01"},
		{"decimal", "-0.001", "0.00"},
		{"decimal", "999.994", "999.99"},
		{"decimal", "1e2", "100.00"},
		{"decimal", "5.", "5.00"},
		{"decimal", "1.50", "1.50"},
		{"decimal", "1e-50", "0.00"},
		{"float", "0.1", "0.1"},
		{"double", "007.50", "7.5"},
		{"double", "1e20", "1e20"},
		{"double", "1e-400", "0"},
		{"double", "0.0000000000000001", "1e-16"},
		{"udouble", "-0.0", "0"},
		{"money", "999.994", "999.99"},
		{"char", "ab ", "ab"},
		{"varchar", "ab ", "ab "},
		{"varchar", "abc  ", "abc"},
		{"varchar", "äö ", "äö "},
		{"varchar", "😀😀😀", "😀😀😀"},
		{"utf8mb3", "äöü", "äöü"},
		{"latin1", "ä€", "ä€"},
		{"text", "abcd  ", "abcd"},
		{"blob", "\xff\x00", "\xff\x00"},
		{"binary", "ab", "ab\x00\x00"},
		{"date", "2024-02-29", "2024-02-29"},
		{"date", "2026-1-2", "2026-01-02"},
		{"date", "2026-01-02 23:59:59", "2026-01-02"},
		{"date", "2026-01-02T23:30:00-02:00", "2026-01-03"},
		{"datetime", "2026-01-02 03:04:05", "2026-01-02 03:04:05"},
		{"datetime", "2026-01-02", "2026-01-02 00:00:00"},
		{"datetime", "2026-01-02T03:04:05Z", "2026-01-02 03:04:05"},
		{"datetime", "2026-01-02T03:04:05.999+0200", "2026-01-02 01:04:05"},
		{"datetime", "2026-01-02 03", "2026-01-02 03:00:00"},
		{"datetime3", "2026-01-02 03:04:05.6789", "2026-01-02 03:04:05.678"},
		{"datetime3", "2026-01-02 03:04:05", "2026-01-02 03:04:05.000"},
		{"timestamp", "1970-01-01 00:00:01", "1970-01-01 00:00:01"},
		{"timestamp", "2038-01-19 03:14:07.9", "2038-01-19 03:14:07"},
		{"time", "1:2:3", "01:02:03"},
		{"time", "-838:59:59", "-838:59:59"},
		{"time", "-00:00:00.9", "00:00:00"},
		{"time2", "10:11:12.789", "10:11:12.78"},
		{"year", "0000", "0000"},
		{"year", "26", "2026"},
		{"year", "70", "1970"},
		{"year", "0", "2000"},
		{"enum", "closed ", "Closed"},
		{"enum", "2", "Closed"},
		{"set", "c,A,a", "a,c"},
		{"set", "", ""},
		{"set", "5", "a,c"},
		{"json", `{"a":[1,"[[[\"[["]}`, `{"a":[1,"[[[\"[["]}`},
		{"json", `"\ud83d\ude00"`, `"\ud83d\ude00"`},
		{"ucs2", "あ", "あ"},
		{"swe7", "aÅZ", "aÅZ"},
		{"zero", "1.5", "001.50"},
		{"uuid", "550E8400E29B41D4A716446655440000", "550e8400-e29b-41d4-a716-446655440000"},
		{"inet4", "1.2.3.4", "1.2.3.4"},
		{"inet6", "FE80:0::1", "fe80::1"},
		{"inet6", "1:2:3:0:5:6:7:8", "1:2:3::5:6:7:8"},
		{"inet6", "::102:304", "::1.2.3.4"},
		{"other", "POINT(1 2)", "POINT(1 2)"},
	} {
		got, err := d.Check(ticket.Fields{{Name: c.field, Value: ticket.Text(c.value)}})
		if err != nil {
			t.Errorf("%s %q: %v", c.field, c.value, err)
			continue
		}
		if text := got[0].Value.Text(); text != c.want {
			t.Errorf("%s %q: %q, want %q", c.field, c.value, text, c.want)
		}
	}
}

func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	d := definition(t, "")
	for _, c := range []struct {
		field, value string
		rule         table.Rule
	}{
		{"nobody", "x", table.RuleUnknown},
		{"Int", "1", table.RuleUnknown},
		{"", "1", table.RuleUnknown},
		{"ticket_id", "1", table.RuleReserved},
		{"REVISION", "1", table.RuleReserved},
		{"_rev", "1", table.RuleReserved},
		{"sum", "1", table.RuleComputed},
		{"int", "", table.RuleNumber},
		{"int", "7a", table.RuleNumber},
		{"int", "1e", table.RuleNumber},
		{"int", ".", table.RuleNumber},
		{"int", "0x10", table.RuleNumber},
		{"int", "2147483648", table.RuleRange},
		{"int", "2147483647.5", table.RuleRange},
		{"int", "1e400", table.RuleRange},
		{"tiny", "128", table.RuleRange},
		{"tiny", "-128.5", table.RuleRange},
		{"medium", "16777216", table.RuleRange},
		{"medium", "-1", table.RuleRange},
		{"ubig", "18446744073709551616", table.RuleRange},
		{"bit", "8", table.RuleRange},
		{"decimal", "12,5", table.RuleNumber},
		{"decimal", "999.995", table.RuleRange},
		{"decimal", "1e9999999999", table.RuleRange},
		{"udecimal", "-0.001", table.RuleRange},
		{"float", "3.5e38", table.RuleRange},
		{"double", "nan", table.RuleNumber},
		{"double", "inf", table.RuleNumber},
		{"double", "1e309", table.RuleRange},
		{"udouble", "-1", table.RuleRange},
		{"money", "999.995", table.RuleRange},
		{"char", "abcd", table.RuleLength},
		{"varchar", "äöüß", table.RuleLength},
		{"varchar", "\xff", table.RuleEncoding},
		{"utf8mb3", "😀", table.RuleEncoding},
		{"latin1", "ł", table.RuleEncoding},
		{"ascii", "ä", table.RuleEncoding},
		{"ucs2", "😀", table.RuleEncoding},
		{"swe7", "[", table.RuleEncoding},
		{"swe7", "é", table.RuleEncoding},
		{"uuid", "550e8400-e29b-41d4-a716-44665544000", table.RuleFormat},
		{"uuid", "550e8400-e29b-41d4-a716-44665544000x", table.RuleFormat},
		{"inet4", "::1", table.RuleFormat},
		{"inet6", "1.2.3.4", table.RuleFormat},
		{"inet6", "fe80::1%eth0", table.RuleFormat},
		{"point", "POINT(1 2)", table.RuleEncoding},
		{"text", "ääa", table.RuleLength},
		{"blob", "abcd ", table.RuleLength},
		{"date", "2026-02-29", table.RuleDate},
		{"date", "0000-00-00", table.RuleDate},
		{"date", "2026-01-02x", table.RuleDate},
		{"date", "10000-01-01", table.RuleDate},
		{"date", "", table.RuleDate},
		{"datetime", "2026-01-02 24:00:00", table.RuleDate},
		{"datetime", "2026-01-02 03:04:05+99:00", table.RuleDate},
		{"datetime", "0000-01-01T00:00:00+01:00", table.RuleDate},
		{"timestamp", "1970-01-01 00:00:00", table.RuleRange},
		{"timestamp", "2038-01-19 03:14:08", table.RuleRange},
		{"time", "839:00:00", table.RuleRange},
		{"time", "10:60:00", table.RuleDate},
		{"time", "noon", table.RuleDate},
		{"year", "1900", table.RuleRange},
		{"year", "100", table.RuleRange},
		{"year", "abc", table.RuleNumber},
		{"enum", "", table.RuleMember},
		{"enum", "3", table.RuleMember},
		{"binenum", "closed", table.RuleMember},
		{"set", "a,", table.RuleMember},
		{"set", "8", table.RuleMember},
		{"json", "{'a':1}", table.RuleJSON},
		{"json", "", table.RuleJSON},
		{"json", "[[[[]]]]", table.RuleJSON},
		{"json", `"\ud800"`, table.RuleJSON},
		{"json", `"\udc00\ud800"`, table.RuleJSON},
	} {
		_, err := d.Check(ticket.Fields{{Name: c.field, Value: ticket.Text(c.value)}})
		var refused *table.FieldError
		if !errors.As(err, &refused) || refused.Rule != c.rule || refused.Field != c.field {
			t.Errorf("%s %q: error %v, want the rule %s of that field", c.field, c.value, err, c.rule)
		}
	}
}

func TestCheckNull(t *testing.T) {
	t.Parallel()
	d := definition(t, "")
	if _, err := d.Check(ticket.Fields{{Name: "tiny", Value: ticket.Null}}); err != nil {
		t.Errorf("NULL in a nullable column: %v", err)
	}
	_, err := d.Check(ticket.Fields{{Name: "int", Value: ticket.Null}})
	var refused *table.FieldError
	if !errors.As(err, &refused) || refused.Rule != table.RuleNull {
		t.Errorf("NULL in a NOT NULL column: error %v, want the rule null", err)
	}
}

func TestCheckFieldsWithoutColumn(t *testing.T) {
	t.Parallel()
	d := definition(t, "extra")
	fields := ticket.Fields{{Name: "caller", Value: ticket.Text("Ännchen")}, {Name: "gone", Value: ticket.Null}}
	if _, err := d.Check(fields); err != nil {
		t.Errorf("fields for the extra column: %v", err)
	}
	for field, rule := range map[string]table.Rule{
		"extra":                  table.RuleReserved,
		"INT":                    table.RuleUnknown, // else a second, silent "int"
		"":                       table.RuleFormat,
		strings.Repeat("x", 65):  table.RuleFormat,
		"\xff":                   table.RuleFormat,
		"_d:status":              table.RuleReserved,
		"ticket_id":              table.RuleReserved,
		strings.Repeat("ä", 64):  "",
		"a field with spaces {}": "",
	} {
		_, err := d.Check(ticket.Fields{{Name: field, Value: ticket.Text("x")}})
		var refused *table.FieldError
		if errors.As(err, &refused) != (rule != "") || refused != nil && refused.Rule != rule {
			t.Errorf("extra field %q: error %v, want the rule %q", field, err, rule)
		}
	}
	if _, err := d.Check(ticket.Fields{{Name: "caller", Value: ticket.Text("\xff")}}); err == nil {
		t.Error("invalid UTF-8 in an extra field was accepted")
	}
}

// Customers' words must not reach logs through an error.
func TestErrorsDoNotRepeatTheValue(t *testing.T) {
	t.Parallel()
	d := definition(t, "")
	const secret = "hunter2-hunter2"
	for i := range columns {
		_, err := d.Check(ticket.Fields{{Name: columns[i].Field, Value: ticket.Text(secret)}})
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error repeats the value: %v", columns[i].Field, err)
		}
	}
}

// Each write passes Check: unchanged values need no allocation. Not parallel, as the test counts allocations.
func TestCheckAllocatesNothing(t *testing.T) { //nolint:paralleltest // see above
	d := definition(t, "extra")
	fields := ticket.Fields{
		{Name: "int", Value: ticket.Text("42")}, {Name: "ubig", Value: ticket.Text("18446744073709551615")},
		{Name: "varchar", Value: ticket.Text("äöü")}, {Name: "text", Value: ticket.Text("abcd")},
		{Name: "datetime", Value: ticket.Text("2026-01-02 03:04:05")}, {Name: "time", Value: ticket.Text("03:04:05")},
		{Name: "enum", Value: ticket.Text("open")}, {Name: "set", Value: ticket.Text("a,c")},
		{Name: "tiny", Value: ticket.Null}, {Name: "caller", Value: ticket.Text("Ann")},
	}
	if n := testing.AllocsPerRun(100, func() {
		if _, err := d.Check(fields); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
