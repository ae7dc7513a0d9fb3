package e2e

import (
	"bytes"
	"encoding/json"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/ticketd/ticketd/protocol"
)

// goldenSelections is protocol/testdata/selections.json, which the README beside it explains. The plugin's SelectionsTest
// reads the same file.
type goldenSelections struct {
	Tables []struct {
		Name       string   `json:"name"`
		SQL        []string `json:"sql"`
		Selections []struct {
			Args map[string]any `json:"args"`
			found
		} `json:"selections"`
	} `json:"tables"`
}

// found is the result of a selection. A refusal has only its field.
type found struct {
	IDs     []int64 `json:"ids,omitzero"`
	Next    string  `json:"next,omitempty"` // the cursor behind the first two tickets, where the selection has a sort
	Groups  []any   `json:"groups,omitzero"`
	Refused *string `json:"refused,omitempty"`
}

// TestSelections asks the daemon for every selection of the golden list: as a single page, in pages of one and of two, and as
// a count.
func TestSelections(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "protocol", "testdata", "selections.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list goldenSelections
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&list); err != nil {
		t.Fatal(err)
	}
	for _, table := range list.Tables {
		t.Run(table.Name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, rigOptions{tables: table.SQL})
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "unix", r.socket)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			a := asker{conn: conn}
			for _, s := range table.Selections {
				for name := range s.Args {
					s.Args[name] = plain(s.Args[name])
				}
				if got, want := jsonText(t, a.find(t, s.Args)), jsonText(t, s.found); got != want {
					t.Errorf("selection %s\n got %s\nwant %s", jsonText(t, s.Args), got, want)
				}
			}
		})
	}
}

// plain makes integers and floats of JSON's numbers.
func plain(value any) any {
	switch v := value.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for name := range v {
			v[name] = plain(v[name])
		}
	}
	return value
}

func jsonText(t *testing.T, value any) string {
	t.Helper()
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

// asker sends requests that [protocol.Client] cannot: parameters of any shape.
type asker struct {
	conn net.Conn
	id   uint32
}

// find asks for a selection in every way, which must agree.
func (a *asker) find(t *testing.T, args map[string]any) found {
	t.Helper()
	if _, grouped := args["by"]; grouped {
		result, refused := a.call(t, protocol.MethodCount, args)
		if refused != nil {
			return found{Refused: &refused.Field}
		}
		return found{Groups: result.Groups}
	}
	result, refused := a.call(t, protocol.MethodList, args)
	selection := maps.Clone(args)
	for _, name := range []string{"sort", "order", "limit", "after"} {
		delete(selection, name)
	}
	counted, uncounted := a.call(t, protocol.MethodCount, selection)
	if refused != nil {
		if len(selection) == len(args) && (uncounted == nil || uncounted.Field != refused.Field) {
			t.Errorf("%v: the count is not refused as the list is, but %v", args, uncounted)
		}
		return found{Refused: &refused.Field}
	}
	f := found{IDs: result.ids()}
	if _, part := args["after"]; part {
		return f
	}
	if counted.Count != len(f.IDs) {
		t.Errorf("%v: listed %d and counted %d", args, len(f.IDs), counted.Count)
	}
	for _, limit := range []int{1, 2} {
		if ids := a.walk(t, args, limit, &f.Next); !slices.Equal(ids, f.IDs) {
			t.Errorf("%v: in pages of %d %v, in one page %v", args, limit, ids, f.IDs)
		}
	}
	if _, sorted := args["sort"]; !sorted {
		f.Next = ""
	}
	return f
}

// walk lists page by page; second is the cursor behind the first page.
func (a *asker) walk(t *testing.T, args map[string]any, limit int, second *string) []int64 {
	t.Helper()
	page, ids := maps.Clone(args), []int64{}
	page["limit"] = limit
	*second = ""
	for {
		result, refused := a.call(t, protocol.MethodList, page)
		if refused != nil {
			t.Fatalf("%v: %v", page, refused)
		}
		ids = append(ids, result.ids()...)
		if result.Next == "" {
			return ids
		}
		if *second == "" {
			*second = result.Next
		}
		page["after"] = result.Next
	}
}

// answer is the result of list or count.
type answer struct {
	Tickets []struct {
		ID int64 `msgpack:"id"`
	} `msgpack:"tickets"`
	Next   string `msgpack:"next"`
	Count  int    `msgpack:"count"`
	Groups []any  `msgpack:"groups"`
}

func (a *answer) ids() []int64 {
	ids := []int64{}
	for _, listed := range a.Tickets {
		ids = append(ids, listed.ID)
	}
	return ids
}

// call makes a request, and fails the test if it is neither answered nor refused as invalid.
func (a *asker) call(t *testing.T, method protocol.Method, params map[string]any) (*answer, *protocol.Error) {
	t.Helper()
	a.id++
	payload, err := msgpack.Marshal([]any{0, a.id, string(method), params})
	if err != nil {
		t.Fatal(err)
	}
	n := len(payload)
	if _, err := a.conn.Write(append([]byte{protocol.Version, byte(n >> 16), byte(n >> 8), byte(n)}, payload...)); err != nil {
		t.Fatal(err)
	}
	payload, err = protocol.ReadFrame(a.conn, nil)
	if err != nil {
		t.Fatal(err)
	}
	message, err := protocol.DecodeAnswer(payload)
	if err != nil || message.Reply == nil {
		t.Fatalf("%s %v: %v", method, params, err)
	}
	if refused := message.Reply.Err; refused != nil {
		if refused.Code != protocol.CodeInvalid {
			t.Fatalf("%s %v: %v", method, params, refused)
		}
		return nil, refused
	}
	result := &answer{}
	if err := msgpack.Unmarshal([]byte(message.Reply.Result), result); err != nil {
		t.Fatal(err)
	}
	return result, nil
}
