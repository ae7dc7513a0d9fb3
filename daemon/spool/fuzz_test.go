package spool

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

// frames are files in the clients' form.
func frames(tb testing.TB) [][]byte {
	tb.Helper()
	fields := setParams("", 7, "open", "").Fields
	return [][]byte{
		frame(tb, protocol.MethodCreate, &protocol.CreateParams{
			Change: protocol.Change{Target: toMain, RequestID: "a"}, ID: 7, Fields: fields,
		}),
		frame(tb, protocol.MethodSet, setParams("next", 7, "closed", "b")),
		frame(tb, protocol.MethodDelete, &protocol.DeleteParams{
			Change: protocol.Change{Target: toMain, RequestID: "c", Ack: protocol.AckJournal}, ID: 7,
		}),
		frame(tb, protocol.MethodGet, &protocol.GetParams{ID: 7}),
	}
}

// FuzzParse parses any bytes as a file. A parsed change names a ticket, may be repeated and delayed, and encodes to the same
// frame. A refusal's reason has only a code, a field and a sentence.
func FuzzParse(f *testing.F) {
	for _, content := range frames(f) {
		f.Add(content)
		f.Add(content[:len(content)-1])
		f.Add(append(bytes.Clone(content), 0))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		c, err := parse(content)
		if err != nil {
			var refusal *protocol.Error
			if !errors.As(err, &refusal) || refusal.Code == "" || refusal.Message == "" || refusal.Retryable {
				t.Errorf("refused with %#v", err)
			}
			return
		}
		method, params, id, requestID := protocol.MethodDelete, protocol.Params(c), int64(0), ""
		switch c := c.(type) {
		case *create:
			method, params, id, requestID = protocol.MethodCreate, &c.CreateParams, c.ID, c.RequestID
		case *set:
			method, params, id, requestID = protocol.MethodSet, &c.SetParams, c.ID, c.RequestID
		case *remove:
			params, id, requestID = &c.DeleteParams, c.ID, c.RequestID
		}
		if id < 1 || requestID == "" {
			t.Errorf("taken for ticket %d under the request id %q", id, requestID)
		}
		var e protocol.Encoder
		again, err := e.Request(1, method, params)
		if err != nil {
			return // floats in text are longer than on the wire
		}
		if d, err := parse(again); err != nil || fmt.Sprintf("%+v", d) != fmt.Sprintf("%+v", c) {
			t.Errorf("%+v became %+v (%v)", c, d, err)
		}
	})
}

// FuzzTakeIn puts two files with any names and contents between two good changes. The good changes are made. Each of the two
// files is ingested, is set aside unchanged beside a reason, or is not a file of the spool; no file is lost, and no work
// remains.
func FuzzTakeIn(f *testing.F) {
	name := "1764000000000005-7-0123456789abcdef" + suffix
	for _, content := range frames(f) {
		f.Add(name, "1764000000000006-7-0123456789abcdef"+suffix, content)
	}
	f.Add("x", "x.reason", []byte("one's reason is the other's name"))
	for _, other := range []string{
		"a", ".hidden", badName, name + reasonSuffix, "x.reason", strings.Repeat("long", 60), "\xff\n", "1764000000000005-0-x" + suffix,
	} {
		f.Add(name, other, []byte("\x01\x00\x00\x01\xc0"))
	}
	f.Fuzz(func(t *testing.T, one, other string, content []byte) {
		for _, name := range []string{one, other} {
			if strings.ContainsAny(name, "/\x00") || len(name) > 240 || name == "." || name == ".." || name == "" {
				return // not a possible file name
			}
		}
		r := newRig(t)
		before := r.set(t, "main", 1, "before", "before")
		files := map[string]bool{}
		for _, name := range []string{one, other} {
			err := os.WriteFile(filepath.Join(r.path, name), content, 0o600)
			if err == nil && !strings.HasPrefix(name, ".") && name != before {
				files[name] = true // otherwise a folder's name, or an impossible name
			}
		}
		r.sequence = 1 << 40
		r.set(t, "main", 1, "after", "after")
		r.takeIn(t)
		r.takeIn(t) // a second look finds no work
		calls := strings.Join(r.site.calls, "\n") + "\n"
		if (one != before && other != before && !strings.Contains(calls, "set 1 before before\n")) ||
			!strings.Contains(calls, "set 1 after after\n") {
			t.Errorf("the good changes were not made: %q", calls)
		}
		if made := r.done.Load(); made+r.requireAside(t, content) != int64(2+len(files)) {
			t.Errorf("of 2 and %d files %d were made, and not all others set aside", len(files), made)
		}
	})
}

// requireAside fails if a visible file remains in the spool, or if a file set aside has changed or lacks its reason. The
// result is the number of files set aside.
func (r *rig) requireAside(t *testing.T, content []byte) (aside int64) {
	t.Helper()
	folder := r.lanes[shared].folder
	left, _, _, err := folder.names(true)
	if err != nil || len(left) > 0 {
		t.Errorf("%q is left (%v)", left, err)
	}
	bad := filepath.Join(r.path, badName)
	entries, err := os.ReadDir(bad)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		got, err := os.ReadFile(filepath.Join(bad, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), reasonSuffix) {
			if !bytes.HasPrefix(got, []byte("file: ")) || !bytes.Contains(got, []byte("\nmessage: ")) {
				t.Errorf("%s says %q", e.Name(), got)
			}
			continue
		}
		aside++
		if !bytes.Equal(got, content) {
			t.Errorf("%s became %q", e.Name(), got)
		}
		if _, err := os.Stat(filepath.Join(bad, e.Name()+reasonSuffix)); err != nil {
			t.Errorf("%s has no reason: %v", e.Name(), err)
		}
	}
	if err := folder.bad.measure(); err != nil || folder.bad.count() != aside {
		t.Errorf("%d files are set aside, counted are %d (%v)", aside, folder.bad.count(), err)
	}
	return aside
}
