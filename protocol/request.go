package protocol

// DecodeRequest reads the envelope of a request and proves that the whole payload is exactly one msgpack value. Request.ID is
// set if readable, also with an error, and otherwise 0. The error is an *[Error] with the code malformed. The payload may be
// overwritten afterwards.
func DecodeRequest(payload []byte) (Request, error) {
	var req Request
	s := string(payload)
	if end, ok := skip(s, 0); !ok || end != len(s) {
		return req, Errorf(CodeMalformed, "the payload is not exactly one msgpack value")
	}
	d := openDecoder(Raw(s))
	defer d.close()
	n, ok := d.arrayLen()
	if kind, isKind := d.int(); !ok || n != 4 || !isKind || kind != typeRequest {
		return req, Errorf(CodeMalformed, "the payload is not a request: an array of 0, id, method, params")
	}
	id, ok := d.int()
	if !ok || id < 1 || id > MaxRequestID {
		return req, Errorf(CodeMalformed, "the request's id is not an integer from 1 to %d", MaxRequestID)
	}
	req.ID = uint32(id)
	method, ok := d.str()
	if !ok {
		return req, Errorf(CodeMalformed, "the request's method is not a string")
	}
	req.Method = Method(method)
	req.Params, _ = d.raw() // always present: the payload is a complete array of four
	return req, nil
}
