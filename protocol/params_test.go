package protocol

import (
	"testing"
	"unsafe"
)

// Request ids are remembered for a day: they must not keep the frames alive that they came in.
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
