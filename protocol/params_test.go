package protocol

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"unsafe"
)

// Every method takes the table that the client names.
func TestEveryMethodTakesATable(t *testing.T) {
	t.Parallel()
	for _, c := range sampleParams() {
		*c.Params.Wants() = Target{Table: strings.Repeat("t", MaxTable)}
		var enc Encoder
		frame, err := enc.Request(1, c.Method, c.Params)
		if err != nil {
			t.Fatal(err)
		}
		req, err := DecodeRequest(frame[HeaderBytes:])
		if err != nil {
			t.Fatal(err)
		}
		p, _ := reflect.TypeAssert[Params](reflect.New(reflect.TypeOf(c.Params).Elem()))
		if err := p.Decode(req.Params); err != nil || !reflect.DeepEqual(p, c.Params) {
			t.Errorf("%s: %+v (%v), want %+v", c.Method, p, err, c.Params)
		}
		*c.Params.Wants() = Target{Table: strings.Repeat("t", MaxTable+1)}
		if frame, err = enc.Request(1, c.Method, c.Params); err != nil {
			t.Fatal(err)
		}
		if req, err = DecodeRequest(frame[HeaderBytes:]); err != nil {
			t.Fatal(err)
		}
		if err := p.Decode(req.Params); !errors.Is(err, &Error{Code: CodeInvalid}) || !strings.Contains(err.Error(), "table") {
			t.Errorf("%s of a table that is too long: %v", c.Method, err)
		}
	}
}

// Request ids are remembered for a day and must not keep their frames in memory.
func TestRequestIDIsNoPartOfItsFrame(t *testing.T) {
	t.Parallel()
	var enc Encoder
	frame, err := enc.Request(1, MethodSet, &SetParams{
		Change: Change{RequestID: "r1"}, ID: 1, Fields: []Field{{Name: "status", Value: Text("open")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	req, err := DecodeRequest(frame[HeaderBytes:])
	if err != nil {
		t.Fatal(err)
	}
	var p SetParams
	if err := p.Decode(req.Params); err != nil {
		t.Fatal(err)
	}
	begin := uintptr(unsafe.Pointer(unsafe.StringData(string(req.Params))))
	at := uintptr(unsafe.Pointer(unsafe.StringData(p.RequestID)))
	if p.RequestID != "r1" || at >= begin && at < begin+uintptr(len(req.Params)) {
		t.Errorf("the request id %q is a part of the frame", p.RequestID)
	}
}
