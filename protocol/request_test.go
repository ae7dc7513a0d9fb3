package protocol

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

// unhex makes bytes of hex, spaces allowed.
func unhex(t *testing.T, wire ...string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(strings.Join(wire, ""), " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestDecodeRequestRefusesMalformed(t *testing.T) {
	t.Parallel()
	ping := str("ping")
	for name, c := range map[string]struct {
		wire string
		id   uint32
	}{
		"nothing":                  {"", 0},
		"nil":                      {"c0", 0},
		"the unused code":          {"c1", 0},
		"a map":                    {"80", 0},
		"an array of three":        {"93 00 01" + ping, 0},
		"an array of five":         {"95 00 01" + ping + "80 80", 0},
		"a reply":                  {"94 01 01 c0 c0", 0},
		"an id of 0":               {"94 00 00" + ping + "80", 0},
		"a negative id":            {"94 00 ff" + ping + "80", 0},
		"an id of 2^32":            {"94 00 cf 0000000100000000" + ping + "80", 0},
		"an id of 2^64-1":          {"94 00 cf ffffffffffffffff" + ping + "80", 0},
		"an id that is a string":   {"94 00" + str("1") + ping + "80", 0},
		"an id that is a float":    {"94 00 cb 3ff0000000000000" + ping + "80", 0},
		"a method that is a map":   {"94 00 07 80 80", 7},
		"trailing bytes":           {"94 00 01" + ping + "80 c0", 0},
		"a cut string":             {"94 00 01 a5 70", 0},
		"a cut integer":            {"94 00 cd 01", 0},
		"an array longer than all": {"dd ffffffff", 0},
		"a map longer than all":    {"94 00 01" + ping + "df 7fffffff", 0},
		"a string longer than all": {"94 00 01" + ping + "81 a1 61 db ffffffff", 0},
		"an ext longer than all":   {"94 00 01" + ping + "81 a1 61 c9 ffffffff 01", 0},
		"the unused code inside":   {"94 00 01" + ping + "81 a1 61 c1", 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := DecodeRequest(unhex(t, c.wire))
			if !errors.Is(err, &Error{Code: CodeMalformed}) {
				t.Fatalf("got error %v, want malformed", err)
			}
			if req.ID != c.id {
				t.Errorf("got id %d, want %d", req.ID, c.id)
			}
		})
	}
}

// TestDecodeRequestBoundsDepth: nesting as deep as a frame can hold costs no stack.
func TestDecodeRequestBoundsDepth(t *testing.T) {
	t.Parallel()
	for name, level := range map[string]string{"arrays": "\x91", "maps": "\x81\xc0"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			head := "\x94\x00\x01\xa4ping"
			depth := (MaxPayload - len(head) - 1) / len(level)
			payload := []byte(head + strings.Repeat(level, depth) + "\xc0")
			req, err := DecodeRequest(payload)
			if err != nil {
				t.Fatal(err)
			}
			err = (&SiteParams{}).Decode(req.Params)
			if !errors.Is(err, &Error{Code: CodeInvalid}) {
				t.Errorf("got %v, want invalid", err)
			}
		})
	}
}

// TestParamsRefused: every refusal is invalid and names the wrong parameter.
func TestParamsRefused(t *testing.T) {
	t.Parallel()
	id, fields, oneField := str("id"), str("fields"), "81"+str("status")+str("open")
	for name, c := range map[string]struct {
		params Params
		wire   string
		field  string
	}{
		"params is nil":         {&SiteParams{}, "c0", "params"},
		"where is a list":       {&ListParams{}, "81" + str("where") + "91 01", "where"},
		"where of a reserved":   {&ListParams{}, "81" + str("where") + "81" + str("_rev") + "01", "where"},
		"where of no value":     {&ListParams{}, "81" + str("where") + "81" + str("status") + "90", "status"},
		"where of 101 values":   {&CountParams{}, "81" + str("where") + "81 a161 dc0065" + strings.Repeat("01", 101), "a"},
		"where of 17 fields":    {&CountParams{}, "81" + str("where") + "de0011" + strings.Repeat("a16101", 17), "where"},
		"where of a map":        {&CountParams{}, "81" + str("where") + "81 a161 81 a16101", "a"},
		"where compares twice":  {&CountParams{}, "81" + str("where") + "81 a161 82 a13e 01 a13e 02", "a"},
		"where by no operator":  {&CountParams{}, "81" + str("where") + "81 a161 81 a13f 01", "a"},
		"a bound of two values": {&CountParams{}, "81" + str("where") + "81 a161 81 a13e 9201 02", "a"},
		"a limit as a text":     {&ListParams{}, "81" + str("limit") + "a135", "limit"},
		"where twice a field":   {&CountParams{}, "81" + str("where") + "82 a161 01 a161 02", "a"},
		"a period as a string":  {&ListParams{}, "81" + str("created_at") + str("2026"), "created_at"},
		"a period until":        {&ListParams{}, "81" + str("updated_at") + "81" + str("until") + "01", "updated_at"},
		"a period of a list":    {&ListParams{}, "81" + str("updated_at") + "81" + str("from") + "91 01", "updated_at"},
		"fresh is 1":            {&ListParams{}, "81" + str("fresh") + "01", "fresh"},
		"deleted is nil":        {&CountParams{}, "81" + str("deleted") + "c0", "deleted"},
		"another sort":          {&ListParams{}, "81" + str("sort") + str("subject"), "sort"},
		"another order":         {&ListParams{}, "81" + str("order") + str("up"), "order"},
		"after is empty":        {&ListParams{}, "81" + str("after") + "a0", "after"},
		"after is too long":     {&ListParams{}, "81" + str("after") + str(strings.Repeat("c", 4097)), "after"},
		"limit is 0":            {&ListParams{}, "81" + str("limit") + "00", "limit"},
		"limit is 1001":         {&DeadListParams{}, "81" + str("limit") + "cd03e9", "limit"},
		"count has no sort":     {&CountParams{}, "81" + str("sort") + str("status"), "sort"},
		"nothing is dropped":    {&DeadParams{}, "80", "ids"},
		"all is false":          {&DeadParams{}, "81" + str("all") + "c2", "ids"},
		"all and some":          {&DeadParams{}, "82" + str("all") + "c3" + str("ids") + "91 01", "ids"},
		"dead after 0":          {&DeadListParams{}, "81" + str("after") + "00", "after"},
		"params is a list":      {&SiteParams{}, "91 01", "params"},
		"unknown parameter":     {&SiteParams{}, "81" + str("sight") + "01", "sight"},
		"parameter twice":       {&GetParams{}, "82" + id + "01" + id + "02", "id"},
		"a name that is a map":  {&GetParams{}, "81 80 01", "params"},
		"site is empty":         {&SiteParams{}, "81" + str("site") + "a0", "site"},
		"site is nil":           {&SiteParams{}, "81" + str("site") + "c0", "site"},
		"site is too long":      {&SiteParams{}, "81" + str("site") + str(strings.Repeat("s", 65)), "site"},
		"id is missing":         {&GetParams{}, "80", "id"},
		"id is 0":               {&GetParams{}, "81" + id + "00", "id"},
		"id is negative":        {&GetParams{}, "81" + id + "ff", "id"},
		"id is 2^63":            {&GetParams{}, "81" + id + "cf 8000000000000000", "id"},
		"id is a string":        {&GetParams{}, "81" + id + str("7"), "id"},
		"id is a float":         {&DeleteParams{}, "81" + id + "cb 3ff0000000000000", "id"},
		"id of set is missing":  {&SetParams{}, "81" + fields + oneField, "id"},
		"fields are missing":    {&SetParams{}, "81" + id + "01", "fields"},
		"fields of create":      {&CreateParams{}, "80", "fields"},
		"fields are empty":      {&CreateParams{}, "81" + fields + "80", "fields"},
		"fields are a list":     {&CreateParams{}, "81" + fields + "91 01", "fields"},
		"a field twice":         {&CreateParams{}, "81" + fields + "82 a161 01 a161 02", "a"},
		"a reserved field":      {&CreateParams{}, "81" + fields + "81" + str("_rev") + "01", "_rev"},
		"a field with a space":  {&CreateParams{}, "81" + fields + "81" + str("a b") + "01", "a b"},
		"a field of 65 bytes": {
			&CreateParams{}, "81" + fields + "81" + str(strings.Repeat("f", 65)) + "01", strings.Repeat("f", 64),
		},
		"a field without name":  {&CreateParams{}, "81" + fields + "81 a0 01", ""},
		"a field that is a map": {&CreateParams{}, "81" + fields + "81 a161 80", "a"},
		"a field that is a list": {
			&CreateParams{}, "81" + fields + "81 a161 91 01", "a",
		},
		"a field that is an ext": {&CreateParams{}, "81" + fields + "81 a161 d4 01 00", "a"},
		"a field before a map":   {&CreateParams{}, "81" + fields + "c7 00 01", "fields"},
		"a field of bad UTF-8":   {&CreateParams{}, "81" + fields + "81 a161 a2 c328", "a"},
		"a field of bad bin":     {&CreateParams{}, "81" + fields + "81 a161 c401 ff", "a"},
		"NaN":                    {&CreateParams{}, "81" + fields + "81 a161 cb 7ff8000000000001", "a"},
		"infinity":               {&CreateParams{}, "81" + fields + "81 a161 ca 7f800000", "a"},
		"request id is empty":    {&CreateParams{}, "81" + str("request_id") + "a0", "request_id"},
		"request id with space":  {&CreateParams{}, "81" + str("request_id") + str("a b"), "request_id"},
		"request id not ASCII":   {&CreateParams{}, "81" + str("request_id") + str("é"), "request_id"},
		"request id too long":    {&DeleteParams{}, "82" + id + "01" + str("request_id") + str(strings.Repeat("r", 65)), "request_id"},
		"request id of a pair": {&CreateParams{}, "82" + str("request_id") + str(strings.Repeat("r", 65)) +
			fields + oneField, "request_id"},
		"request id of a pair of set_many": {&SetManyParams{}, "82" + str("request_id") + str(strings.Repeat("r", 65)) +
			str("tickets") + "91 92 01" + oneField, "request_id"},
		"request id of 69 bytes": {&SetParams{}, "81" + str("request_id") + str(strings.Repeat("r", 69)), "request_id"},
		"remember is 0":          {&SetParams{}, "81" + str("remember") + "00", "remember"},
		"remember is 86401":      {&CreateParams{}, "81" + str("remember") + "ce 00015181", "remember"},
		"remember is a string":   {&SetManyParams{}, "81" + str("remember") + str("1d"), "remember"},
		"nothing to remember":    {&DeleteParams{}, "82" + id + "01" + str("remember") + "01", "remember"},
		"another ack":            {&SetParams{}, "81" + str("ack") + str("mysql"), "ack"},
		"ack is true":            {&DeleteParams{}, "81" + str("ack") + "c3", "ack"},
		"id of create is 0":      {&CreateParams{}, "81" + id + "00", "id"},
		"if_revision is 0":       {&SetParams{}, "81" + str("if_revision") + "00", "if_revision"},
		"if_revision is 2^53":    {&SetParams{}, "81" + str("if_revision") + "cf 0020000000000000", "if_revision"},
		"ids are missing":        {&GetManyParams{}, "80", "ids"},
		"ids are empty":          {&GetManyParams{}, "81" + str("ids") + "90", "ids"},
		"ids hold a string":      {&GetManyParams{}, "81" + str("ids") + "91 a131", "ids"},
		"ids are 1001":           {&GetManyParams{}, "81" + str("ids") + "dc 03e9" + strings.Repeat("01", 1001), "ids"},
		"ids of flush are 1001":  {&FlushParams{}, "81" + str("ids") + "dc 03e9" + strings.Repeat("01", 1001), "ids"},
		"tickets are missing":    {&SetManyParams{}, "80", "tickets"},
		"tickets are empty":      {&SetManyParams{}, "81" + str("tickets") + "90", "tickets"},
		"tickets are a map":      {&SetManyParams{}, "81" + str("tickets") + "81 01 80", "tickets"},
		"a pair of three":        {&SetManyParams{}, "81" + str("tickets") + "91 93 01" + oneField + "01", "tickets"},
		"entries are missing":    {&CheckParams{}, "80", "entries"},
		"entries are empty":      {&CheckParams{}, "81" + str("entries") + "90", "entries"},
		"an entry of one":        {&CheckParams{}, "81" + str("entries") + "91 91 01", "entries"},
		"an entry of four":       {&CheckParams{}, "81" + str("entries") + "91 94 c0" + oneField + str("r") + "01", "entries"},
		"a pair that is a map":   {&SetManyParams{}, "81" + str("tickets") + "91" + oneField, "tickets"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			req, err := DecodeRequest(unhex(t, "94 00 01", str("x"), c.wire))
			if err != nil {
				t.Fatal(err)
			}
			var got *Error
			if err := c.params.Decode(req.Params); !errors.As(err, &got) {
				t.Fatalf("got %v, want an *Error", err)
			}
			if got.Code != CodeInvalid || got.Field != c.field || got.Closing || got.Message == "" {
				t.Errorf("got %+v, want invalid for %q", got, c.field)
			}
		})
	}
}

func TestFieldsLimit(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]bool{MaxFields: true, MaxFields + 1: false} {
		var fields []Field
		for i := range n {
			fields = append(fields, Field{Name: fmt.Sprintf("f%d", i), Value: Int(int64(i))})
		}
		p := &CreateParams{Fields: fields}
		if err := p.Decode(encodeParams(t, p)); (err == nil) != want {
			t.Errorf("%d fields: %v", n, err)
		}
	}
}

// encodeParams returns the parameters as decoded from a request's envelope.
func encodeParams(tb testing.TB, p Params) Raw {
	tb.Helper()
	var e Encoder
	frame, err := e.Request(1, "x", p)
	if err != nil {
		tb.Fatal(err)
	}
	req, err := DecodeRequest(frame[HeaderBytes:])
	if err != nil {
		tb.Fatal(err)
	}
	return req.Params
}

// TestSetManyRefusesPairsAlone: a fault within a pair concerns only that pair; later pairs are read.
func TestSetManyRefusesPairsAlone(t *testing.T) {
	t.Parallel()
	wire := handmade("81", str("tickets"), "95",
		"92 01 81", str("status"), str("open"),
		"92 00 81", str("status"), str("open"),
		"92 02 82", str("status"), "91 c0", str("other"), "01",
		"92 03 c0",
		"92 04 81", str("status"), "c0")
	var p SetManyParams
	if err := p.Decode(Raw(wire[HeaderBytes:])); err != nil {
		t.Fatal(err)
	}
	blamed := []string{"", "id", "status", "fields", ""}
	for i, want := range blamed {
		got := p.Tickets[i]
		if want == "" && (got.Err != nil || len(got.Fields) != 1) {
			t.Errorf("pair %d: %+v, want one field", i, got)
		}
		if want != "" && (got.Err == nil || got.Err.Field != want) {
			t.Errorf("pair %d: %+v, want %q to blame", i, got, want)
		}
	}
}

// TestCheckRefusesEntriesAlone: a fault within an entry concerns only that entry; later entries are read.
func TestCheckRefusesEntriesAlone(t *testing.T) {
	t.Parallel()
	field := "81" + str("status") + str("open")
	wire := handmade("81", str("entries"), "97",
		"92 01", field,
		"92 00", field,
		"93 01", field, str("r"),
		"93 c0", field, str(strings.Repeat("r", MaxPairRequestID)),
		"92 c0 c0",
		"93 c0", field, str("r"),
		"92 c0", field)
	var p CheckParams
	if err := p.Decode(Raw(wire[HeaderBytes:])); err != nil {
		t.Fatal(err)
	}
	blamed := []string{"", "id", "request_id", "request_id", "fields", "", ""}
	for i, want := range blamed {
		got := p.Entries[i]
		if want == "" && (got.Err != nil || len(got.Fields) != 1) {
			t.Errorf("entry %d: %+v, want one field", i, got)
		}
		if want != "" && (got.Err == nil || got.Err.Field != want) {
			t.Errorf("entry %d: %+v, want %q to blame", i, got, want)
		}
	}
	if p.Entries[0].ID != 1 || p.Entries[5].RequestID != "r" || p.Entries[6].ID != 0 {
		t.Errorf("read %+v", p.Entries)
	}
}

func TestFloatText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		f    float64
		bits int
		want string
	}{
		{0.1, 64, "0.1"},
		{float64(float32(0.1)), 32, "0.1"},
		{1e6, 64, "1000000"},
		{1e20, 64, "100000000000000000000"},
		{1e21, 64, "1e+21"},
		{1e-6, 64, "0.000001"},
		{1e-7, 64, "1e-7"},
		{-1.5e-10, 64, "-1.5e-10"},
		{5e-324, 64, "5e-324"},
		{math.Copysign(0, -1), 64, "0"},
	} {
		if got, ok := floatText(c.f, c.bits); !ok || got != c.want {
			t.Errorf("%g: got %q, want %q", c.f, got, c.want)
		}
	}
}
