package table_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// fuzzValues have a value of each kind.
var fuzzValues = []string{
	"", "7", "-1.5e3", "2026-01-02T03:04:05Z", "838:59:59.9", "a,b", `{"a":"\ud83d"}`, "\xff", "😀", "99999999999999999999999",
	"1e-400",
}

// Check always returns. It accepts an accepted value again unchanged; a refusal has a rule and the field's name, and does not
// show the value.
func FuzzCheck(f *testing.F) {
	for _, seed := range fuzzValues {
		for i := range columns {
			f.Add(i, seed)
		}
	}
	d := definition(f, "extra")
	f.Fuzz(func(t *testing.T, column int, value string) {
		field := columns[uint(column)%uint(len(columns))].Field
		once, err := d.Check(ticket.Fields{{Name: field, Value: ticket.Text(value)}})
		if err != nil {
			requireFieldError(t, err, field, value)
			return
		}
		held := once[0].Value
		twice, err := d.Check(once)
		if err != nil || twice[0].Value != held {
			t.Errorf("%s %q: held as %q, which is then %q, error %v", field, value, held.Text(), twice[0].Value.Text(), err)
		}
	})
}

func requireFieldError(t *testing.T, err error, field, value string) {
	t.Helper()
	var refused *table.FieldError
	if !errors.As(err, &refused) || refused.Rule == "" || refused.Field != field || refused.Reason == "" {
		t.Errorf("%s %q: refused with %#v", field, value, err)
	}
	if len(value) > 25 && strings.Contains(err.Error(), value) {
		t.Errorf("the error repeats the value: %v", err)
	}
}

// FuzzDefinition reads arbitrary bytes as a definition from disk: the definition is refused, or works on every value without a
// panic and within the memory that exists, and is the same after another round on disk.
func FuzzDefinition(f *testing.F) {
	d := definition(f, "extra")
	text, err := json.Marshal(d)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text, "7")
	for _, column := range columns {
		one := &table.Definition{Table: "t", Key: "k", Revision: "r", Columns: []table.Column{column}}
		text, err := json.Marshal(one)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text, "-1.5e3")
	}
	for _, limits := range []string{
		`"kind":"integer","bits":65`, `"kind":"integer","bits":0`, `"kind":"integer","bits":-1`, `"kind":"bit","bits":200`,
		`"kind":"decimal","precision":5,"scale":-1`, `"kind":"decimal","precision":5,"scale":2147483647`,
		`"kind":"binary","max_bytes":1099511627776`,
		`"kind":"char","max_chars":-3`, `"kind":"text","max_bytes":-1`, `"kind":"time","digits":-1`,
		`"kind":"datetime","digits":1000000000`,
		`"kind":"float","bits":1,"precision":400,"scale":-400`, `"kind":"set","members":["a","a,b",""]`, `"kind":"what"`,
		`"kind":"json","depth":-1`,
	} {
		f.Add([]byte(`{"table":"t","key":"k","revision":"r","columns":[{"field":"a","name":"a",`+limits+`}]}`), "1.5 ")
	}
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		d := new(table.Definition)
		if err := json.Unmarshal(text, d); err != nil {
			return
		}
		now := time.Unix(1_764_000_000, 0).UTC()
		for i := range d.Columns {
			field := d.Columns[i].Field
			for _, v := range append(fuzzValues, value) {
				if checked, err := d.Check(ticket.Fields{{Name: field, Value: ticket.Text(v)}}); err != nil {
					requireFieldError(t, err, field, v)
				} else if len(checked[0].Value.Text()) > len(v)+1<<20 {
					t.Errorf("%d bytes became %d", len(v), len(checked[0].Value.Text()))
				}
			}
		}
		_, _, _ = d.Complete(nil, now)
		_ = d.Touch(nil, now)
		_, _ = d.SoftDelete(now)
		again, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		e := new(table.Definition)
		if err := json.Unmarshal(again, e); err != nil || !reflect.DeepEqual(e, d) {
			t.Errorf("%s became %+v (%v)", again, e, err)
		}
	})
}

var number = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$`)

// FuzzNumber compares the integer and decimal columns with exact arithmetic: a number is rounded half away from zero, and refused
// where the result is out of the column's range, or below zero in an unsigned column.
func FuzzNumber(f *testing.F) {
	for _, value := range []string{"0", "127.5", "-128.5", "255.4999", "1e2", ".5", "-0.5", "99999.995",
		"1844674407370955161.55e1", "0e9999", "007"} {
		for _, kind := range []uint8{0, 1, 2, 7, 100} {
			f.Add(kind, value)
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, value string) {
		trimmed := strings.Trim(value, " \t\n\v\f\r")
		if !number.MatchString(trimmed) || len(value) > 100 {
			return
		}
		exact, ok := new(big.Rat).SetString(trimmed)
		if !ok {
			return
		}
		c := table.Column{Field: "n", Kind: table.Integer, Bits: []int{8, 16, 24, 32, 64}[kind%5], Unsigned: kind&0x20 != 0}
		if kind >= 0x80 {
			c = table.Column{Field: "n", Kind: table.Decimal, Precision: 12, Scale: int(kind % 13), Unsigned: kind&0x20 != 0}
		}
		d := &table.Definition{Table: "t", Key: "k", Revision: "r", Columns: []table.Column{c}}
		if err := d.Prepare(); err != nil {
			t.Fatal(err)
		}
		want, fits := rounded(&c, exact)
		got, err := d.Check(ticket.Fields{{Name: "n", Value: ticket.Text(value)}})
		if (err == nil) != fits {
			t.Fatalf("%q in %+v: %v, fits %v as %s", value, c, err, fits, want.FloatString(c.Scale))
		}
		if err == nil && got[0].Value.Text() != want.FloatString(c.Scale) {
			t.Errorf("%q in %+v: %s, want %s", value, c, got[0].Value.Text(), want.FloatString(c.Scale))
		}
	})
}

// rounded is the column's value for a number; false if the column cannot hold the number.
func rounded(c *table.Column, exact *big.Rat) (*big.Rat, bool) {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(c.Scale)), nil)
	n := new(big.Rat).Mul(exact, new(big.Rat).SetInt(scale))
	half := big.NewRat(int64(n.Sign()), 2)
	n.Add(n, half)
	units := new(big.Int).Quo(n.Num(), n.Denom()) // towards zero, of a number that half was added to
	low, high := new(big.Int), new(big.Int)
	one := big.NewInt(1)
	switch {
	case c.Kind == table.Decimal:
		high.Exp(big.NewInt(10), big.NewInt(int64(c.Precision)), nil)
		low.Neg(high).Add(low, one)
		high.Sub(high, one)
		if c.Unsigned && exact.Sign() < 0 {
			return exact, false
		}
	case c.Unsigned:
		high.Lsh(one, uint(c.Bits)).Sub(high, one)
	default:
		high.Lsh(one, uint(c.Bits-1))
		low.Neg(high)
		high.Sub(high, one)
	}
	return new(big.Rat).SetFrac(units, scale), units.Cmp(low) >= 0 && units.Cmp(high) <= 0
}
