package mysql

import (
	"database/sql"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	phpclient "github.com/ticketd/ticketd/php-client"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// escape writes texts as information_schema does.
var escape = strings.NewReplacer("'", "''", `\`, `\\`, "\n", `\n`, "\r", `\r`, "\x00", `\0`)

// FuzzMembers reads a type, as information_schema writes it, of any three members, and gets these members; of an arbitrary type
// it gets no more members than the type holds.
func FuzzMembers(f *testing.F) {
	f.Add("open", "it's", `a\nb`)
	f.Add("", "'", `\`)
	f.Add("enum('a','b')", "enum(", "a,b")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		want := []string{a, b, c}
		columnType := "enum('" + escape.Replace(a) + "','" + escape.Replace(b) + "','" + escape.Replace(c) + "')"
		if got := members(columnType); !slices.Equal(got, want) {
			t.Errorf("%s has the members %q, want %q", columnType, got, want)
		}
		for _, text := range want {
			if got := strings.Join(members(text), ""); len(got) > len(text) {
				t.Errorf("%q has the members %q", text, got)
			}
		}
	})
}

// FuzzDescribed makes a column's rules from any description: the table is refused as a whole, with a reason, or the rules accept
// their own default, and are the same after a round on disk.
func FuzzDescribed(f *testing.F) {
	for _, d := range []struct{ dataType, columnType, text string }{
		{"bigint", "bigint(20) unsigned", "0"}, {"tinyint", "tinyint(4)", "1"}, {"decimal", "decimal(5,2)", "1.50"}, {"float",
			"float", "0.1"},
		{"bit", "bit(3)", "b'101'"}, {"varchar", "varchar(255)", "'open'"}, {"text", "text", "NULL"}, {"binary", "binary(4)", "'a'"},
		{"datetime", "datetime(3)", "current_timestamp(3)"}, {"timestamp", "timestamp", "'0000-00-00 00:00:00'"}, {"time", "time",
			"'10:00:00'"},
		{"year", "year(4)", "2026"}, {"enum", "enum('open','it''s')", "'it''s'"}, {"set", "set('a','b')", "'a,b'"}, {"json", "json",
			"'{}'"},
		{"longtext", "longtext", "'[]'"}, {"geometry", "point", "NULL"}, {"varchar", "varchar(36)", "uuid()"},
	} {
		for _, flags := range []uint8{0b000, 0b011, 0b111, 0b1001} {
			f.Add("field", d.dataType, d.columnType, "", d.text, "utf8mb4", int64(5), int64(2), flags)
		}
	}
	f.Fuzz(func(t *testing.T, name, dataType, columnType, extra, text, charset string, size, scale int64, flags uint8) {
		known := func(n int64) sql.NullInt64 { return sql.NullInt64{Int64: n, Valid: flags&0x10 == 0} }
		one := described{
			name: name, dataType: dataType, columnType: columnType, extra: extra, nullable: flags&1 != 0,
			defaultText: sql.NullString{String: text, Valid: flags&2 != 0}, charset: sql.NullString{String: charset, Valid: true},
			collation: sql.NullString{String: charset + "_ci", Valid: flags&4 != 0}, chars: known(size), octets: known(size),
			precision: known(size), scale: known(scale), timeDigits: known(scale),
		}
		own := []described{{name: DefaultKey, dataType: "bigint"}, {name: DefaultRevision, dataType: "bigint"}, one}
		db := &DB{config: Config{}.withDefaults()}
		d, err := db.assemble(&facts{
			columns: own, flavour: flavour{mariaDB: flags&8 != 0, maxUnix: lastSecondSigned, depth: depthMySQL},
			jsonColumns: map[string]bool{name: flags&0x20 != 0}, beside: flags&0x40 != 0,
		})
		if err != nil {
			if !strings.Contains(err.Error(), "column") {
				t.Errorf("refused without naming a column: %v", err)
			}
			return
		}
		for i := range d.Columns {
			c := &d.Columns[i]
			if c.Default.Source != table.Literal {
				continue
			}
			if _, err := d.Check(ticket.Fields{{Name: c.Field,
				Value: ticket.Text(c.Default.Text)}}); err != nil && !strings.HasPrefix(c.Field, "_") {
				t.Errorf("the default %q of %+v: %v", c.Default.Text, c, err)
			}
		}
		if !utf8.ValidString(strings.Join([]string{name, columnType, charset, text}, " ")) {
			return // JSON cannot hold this value, and no database gives such a description
		}
		kept, err := json.Marshal(d)
		again := new(table.Definition)
		if err == nil {
			err = json.Unmarshal(kept, again)
		}
		if err != nil || !reflect.DeepEqual(again, d) {
			t.Errorf("%+v is kept as %s (%v)", d, kept, err)
		}
	})
}

// FuzzShape reads arbitrary text as the answer to SHOW CREATE TABLE: each column and index is a line of the text, which names
// the column or index, and a search finds it.
func FuzzShape(f *testing.F) {
	f.Add(phpclient.Schema)
	f.Add("CREATE TABLE `t` (\n  `id` bigint(20) unsigned NOT NULL DEFAULT 0,\n  `a,b` enum('x','`') DEFAULT NULL,\n" +
		"  PRIMARY KEY (`id`),\n  UNIQUE KEY `u` (`a,b`,`id`),\n  KEY `k` (`id`)\n) ENGINE=InnoDB")
	f.Fuzz(func(t *testing.T, text string) {
		s := shapeOf(text)
		for _, p := range append(slices.Clone(s.columns), s.indexes...) {
			if strings.Contains(p.line, "\n") || !strings.Contains(text, p.line) || !strings.Contains(p.line, "`"+p.name) {
				t.Errorf("%+v is no line of %q", p, text)
			}
		}
		for _, p := range s.columns {
			if !s.hasColumn(p.name) {
				t.Errorf("column %q is not found", p.name)
			}
		}
		for _, p := range s.indexes {
			if !s.hasIndex(p) {
				t.Errorf("index %q is not found", p.name)
			}
		}
	})
}

// FuzzExtra reads arbitrary text as the extra column: each name at most once, no name that is reserved or taken; and fields that
// were written to the column read back unchanged.
func FuzzExtra(f *testing.F) {
	for _, text := range []string{
		`{"caller":"Ännchen","n":7,"none":null,"list":[1,"a"],"_rev":"9","status":"x"}`, `{"a":1,"a":2}`, `[]`, `null`, ``, `"text"`,
		`{"a":"\ud800"}`, "{\"a\":\"\xff\"}",
	} {
		f.Add([]byte(text), "caller", `a"b\c`+"\x01\n😀")
	}
	f.Fuzz(func(t *testing.T, extra []byte, name, value string) {
		taken := ticket.Fields{{Name: "status", Value: ticket.Text("open")}}
		seen := map[string]bool{}
		for i, field := range unpackExtra(&table.Definition{}, taken, extra) {
			if seen[field.Name] || strings.HasPrefix(field.Name, "_") || field.Value.IsNull() || i == 0 && field != taken[0] {
				t.Errorf("%s holds %+v", extra, field)
			}
			seen[field.Name] = true
		}
		if !utf8.ValidString(name) || !utf8.ValidString(value) || strings.HasPrefix(name, "_") {
			return // refused by package table
		}
		var p extraPatch
		p.add(ticket.Field{Name: name, Value: ticket.Text(value)})
		want := ticket.Fields{{Name: name, Value: ticket.Text(value)}}
		if got := unpackExtra(&table.Definition{}, nil, []byte(p.text())); !slices.Equal(got, want) {
			t.Errorf("%s holds %+v, want %+v", p.text(), got, want)
		}
	})
}
