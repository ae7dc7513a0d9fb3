package protocol

import (
	"bytes"
	"testing"
)

// maxSetAllocs bounds the allocations of decoding a set with four fields: the strings of the whole payload, the fields, and
// the parameters.
const maxSetAllocs = 3

func decodeSet(tb testing.TB, payload []byte) {
	tb.Helper()
	req, err := DecodeRequest(payload)
	if err != nil {
		tb.Fatal(err)
	}
	p := &SetParams{}
	if err := p.Decode(req.Params); err != nil {
		tb.Fatal(err)
	}
	if len(p.Fields) != 4 {
		tb.Fatalf("got %d fields", len(p.Fields))
	}
}

// TestDecodeSetAllocations is not parallel: the test counts the allocations of the whole process.
func TestDecodeSetAllocations(t *testing.T) { //nolint:paralleltest // see above
	if raceEnabled {
		t.Skip("the race detector makes sync.Pool drop objects at random")
	}
	payload := readGolden(t, "request-set")[HeaderBytes:]
	if n := testing.AllocsPerRun(1000, func() { decodeSet(t, payload) }); n > maxSetAllocs {
		t.Errorf("decoding a set of four fields takes %v allocations, at most %d are allowed", n, maxSetAllocs)
	}
}

func BenchmarkDecodeSet(b *testing.B) {
	payload := readGolden(b, "request-set")[HeaderBytes:]
	b.ReportAllocs()
	for b.Loop() {
		decodeSet(b, payload)
	}
}

func BenchmarkReadFrame(b *testing.B) {
	frame := readGolden(b, "request-set")
	r := bytes.NewReader(frame)
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		r.Reset(frame)
		payload, err := ReadFrame(r, buf)
		if err != nil {
			b.Fatal(err)
		}
		buf = payload
	}
}

func BenchmarkEncodeSetReply(b *testing.B) {
	var e Encoder
	result := &RevisionResult{Revision: MaxRevision}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := e.Reply(1, result); err != nil {
			b.Fatal(err)
		}
	}
}
