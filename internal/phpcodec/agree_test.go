package phpcodec

import (
	"errors"
	"math"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/protocol"
)

// The costs that decoding may have in PHP, however small or false the payload is: baseMemory bytes, and for each byte of the
// payload the size of the smallest arrays; a time that no payload of these tests comes near to; and a remainder, such as the
// buffers of PHP's garbage collection.
const (
	baseMemory    = 30 << 20
	memoryPerByte = 160
	longest       = 10 * time.Second
	keptMemory    = 1 << 20
)

// requireSane fails if PHP complained, made an object, or allocated too much. Input that is foreign to the protocol may leave
// arrays behind that were keys.
func requireSane(t *testing.T, codec string, o *outcome, size int, foreign bool) {
	t.Helper()
	if o.complaints != "" {
		t.Errorf("%s: PHP complains: %s", codec, o.complaints)
	}
	if strings.Contains(o.text, "an object") {
		t.Errorf("%s: an object came out: %.200q", codec, o.text)
	}
	if o.text[0] == '!' && !o.refused() {
		t.Errorf("%s: it threw %s", codec, o.text)
	}
	if most := int64(baseMemory + memoryPerByte*size); o.peak > most {
		t.Errorf("%s: %d bytes took %d bytes of memory, at most %d are allowed", codec, size, o.peak, most)
	}
	if o.kept > keptMemory && !foreign {
		t.Errorf("%s: %d bytes of memory are not given back", codec, o.kept)
	}
	if o.took > longest {
		t.Errorf("%s: %d bytes took %v", codec, size, o.took)
	}
}

// requireAgreement decodes a payload with all codecs: each finds the same value or refuses the payload.
func requireAgreement(t *testing.T, w *worker, payload []byte) {
	t.Helper()
	before := t.Failed()
	php, extension, err := w.decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	v, err := reference(payload)
	requireSane(t, "PHP", &php, len(payload), false)
	requireSane(t, "extension", &extension, len(payload), errors.Is(err, errForeign))
	request, requestErr := protocol.DecodeRequest(payload)
	answer, answerErr := protocol.DecodeAnswer(payload)
	message, isArray := v.(*array)
	switch {
	case errors.Is(err, errMalformed):
		// The extension mistakes the longest length of an extension type, for which there is no room, for an empty value.
		if !php.refused() || !extension.refused() && !errors.Is(err, errForeign) || requestErr == nil || answerErr == nil {
			t.Errorf("%v, yet PHP %.200q, extension %.200q, Go %v and %v", err, php.text, extension.text, requestErr, answerErr)
		}
	case err != nil:
		// No daemon sends such a payload. The extension reads it in its own way.
		if !php.refused() {
			t.Errorf("PHP takes what no message holds: %.200q", php.text)
		}
	case !isArray:
		if !php.refused() || !extension.refused() || requestErr == nil || answerErr == nil {
			t.Errorf("no array, yet PHP %.200q, extension %.200q, Go %v and %v", php.text, extension.text, requestErr, answerErr)
		}
	default:
		if want := "=" + string(dump(nil, v)); php.text != want || extension.text != want {
			t.Errorf("PHP\n%.500q\nextension\n%.500q\nwant\n%.500q", php.text, extension.text, want)
		}
		if requestErr == nil {
			requireRequest(t, request, message)
		}
		if answerErr == nil {
			requireAnswer(t, answer, message)
		}
	}
	if t.Failed() && !before {
		t.Logf("payload %x", payload[:min(len(payload), 1000)])
	}
}

// requireRead reads a payload with the client and each of the two codecs.
func requireRead(t *testing.T, w *worker, payload []byte) {
	t.Helper()
	if len(payload) == 0 || len(payload) > math.MaxUint16 {
		return // an empty payload makes no frame, and a long payload takes long
	}
	php, extension, err := w.read(payload)
	if err != nil {
		t.Fatal(err)
	}
	_, err = reference(payload)
	foreign := errors.Is(err, errForeign)
	requireSane(t, "PHP", &php, len(payload), false)
	requireSane(t, "extension", &extension, len(payload), foreign)
	if php.text != extension.text && !foreign {
		t.Errorf("PHP %.300q, extension %.300q", php.text, extension.text)
	}
}

// requireRequest compares the decoding in Go with the decoding in PHP.
func requireRequest(t *testing.T, r protocol.Request, message *array) {
	t.Helper()
	if message.get(int64(0)) != int64(0) || message.get(int64(1)) != int64(r.ID) || message.get(int64(2)) != string(r.Method) {
		t.Errorf("Go: request %d of %q, PHP: %.200q", r.ID, r.Method, dump(nil, message))
	}
	params, _ := message.get(int64(3)).(*array)
	switch r.Method {
	case protocol.MethodSet:
		var p protocol.SetParams
		if p.Decode(r.Params) == nil {
			requireFields(t, p.Fields, params.get("fields"))
			requireSame(t, p.ID, params.get("id"))
		}
	case protocol.MethodCreate:
		var p protocol.CreateParams
		if p.Decode(r.Params) == nil {
			requireFields(t, p.Fields, params.get("fields"))
		}
	case protocol.MethodSetMany:
		var p protocol.SetManyParams
		if p.Decode(r.Params) != nil {
			return
		}
		for i := range p.Tickets {
			if pair := as[*array](as[*array](params.get("tickets")).get(int64(i))); p.Tickets[i].Err == nil {
				requireSame(t, p.Tickets[i].ID, pair.get(int64(0)))
				requireFields(t, p.Tickets[i].Fields, pair.get(int64(1)))
			}
		}
	default:
	}
}

func requireSame(t *testing.T, ours int64, theirs any) {
	t.Helper()
	if theirs != ours {
		t.Errorf("Go %d, PHP %v", ours, theirs)
	}
}

// requireFields compares the fields that Go has with the array that PHP has.
func requireFields(t *testing.T, fields []protocol.Field, in any) {
	t.Helper()
	a, _ := in.(*array)
	for _, f := range fields {
		want, ok := fieldValue(a.get(f.Name))
		if f.Value.IsInt() {
			want, ok = protocol.Int(f.Value.Int()), a.get(f.Name) == f.Value.Int()
		}
		if !ok || f.Value != want {
			t.Errorf("field %q: Go %q, PHP %.200q", f.Name, f.Value.Text(), dump(nil, a.get(f.Name)))
		}
	}
}

func requireAnswer(t *testing.T, answer protocol.Answer, message *array) {
	t.Helper()
	if answer.Reply == nil {
		return
	}
	requireSame(t, int64(answer.Reply.ID), message.get(int64(1)))
	if refusal := answer.Reply.Err; refusal != nil {
		theirs := as[*array](message.get(int64(2)))
		if theirs.get("code") != string(refusal.Code) || refusal.Retryable && theirs.get("retryable") != true {
			t.Errorf("Go %v, PHP %.200q", refusal, dump(nil, theirs))
		}
		return
	}
	var ticket protocol.Ticket
	result := message.get(int64(3))
	if theirs, isMap := result.(*array); isMap && ticket.Decode(answer.Reply.Result) == nil && unique(ticket.Fields) {
		requireSame(t, ticket.ID, theirs.get("id"))
		if len(ticket.Fields) > 0 {
			requireFields(t, ticket.Fields, theirs.get("fields"))
		}
	}
}

// unique is false for the fields of a damaged message of which PHP keeps only the last.
func unique(fields []protocol.Field) bool {
	a := newArray()
	for _, f := range fields {
		a.put(f.Name, nil)
	}
	return len(a.keys) == len(fields)
}

var fieldName = regexp.MustCompile(`^[A-Za-z0-9-][A-Za-z0-9_-]{0,63}$`)

// takes reports whether SPEC.md allows the parameters of a call from PHP.
func takes(method protocol.Method, params *array) bool {
	fields := func(v any) bool {
		a := as[*array](v)
		ok := len(a.keys) >= 1 && len(a.keys) <= protocol.MaxFields
		for i, key := range a.keys {
			name, isText := key.(string)
			_, single := fieldValue(a.values[i])
			ok = ok && single && (!isText || fieldName.MatchString(name))
		}
		return ok
	}
	id, hasID := params.get("id").(int64)
	switch method {
	case protocol.MethodCreate, protocol.MethodSet:
		return id > 0 && fields(params.get("fields"))
	case protocol.MethodGetMany, protocol.MethodFlush:
		ids := as[*array](params.get("ids"))
		ok := len(ids.values) <= protocol.MaxTickets && (len(ids.values) > 0 || method == protocol.MethodFlush)
		for _, id := range ids.values {
			ok = ok && as[int64](id) > 0
		}
		return ok
	case protocol.MethodSetMany:
		return true // each pair has its own refusal
	default:
		return hasID && id > 0
	}
}

// requireCall encodes a call of PHP with each of the two codecs: they write the same bytes, which Go reads with PHP's
// meaning.
func requireCall(t *testing.T, w *worker, g generator) []byte {
	t.Helper()
	method, params := g.call()
	id := max(g.Uint32(), 1)
	php, extension, err := w.encode(id, string(method), params)
	if err != nil {
		t.Fatal(err)
	}
	size := len(php.text)
	requireSane(t, "PHP", &php, size, false)
	requireSane(t, "extension", &extension, size, false)
	if php.text != extension.text {
		t.Fatalf("PHP\n%.500q\nextension\n%.500q\nof %.500q", php.text, extension.text, dump(nil, params))
	}
	payload := []byte(php.text[1:])
	meant := newArray(int64(0), int64(id), string(method), params)
	got, err := reference(payload)
	if err != nil || string(dump(nil, got)) != string(dump(nil, meant)) {
		t.Errorf("got %.500q (%v)\nwant %.500q", dump(nil, got), err, dump(nil, meant))
	}
	r, err := protocol.DecodeRequest(payload)
	if err != nil {
		t.Fatalf("Go refuses what PHP writes: %v", err)
	}
	if p := paramsOf(method); p != nil {
		if err := p.Decode(r.Params); (err == nil) != takes(method, params) {
			t.Errorf("Go: %v, taken by the specification: %v, of %.500q", err, takes(method, params), dump(nil, params))
		}
	}
	requireAgreement(t, w, payload)
	return payload
}

// paramsOf is nil for methods whose parameters are too many to be judged a second time here.
func paramsOf(method protocol.Method) protocol.Params {
	switch method {
	case protocol.MethodCreate:
		return &protocol.CreateParams{}
	case protocol.MethodSet:
		return &protocol.SetParams{}
	case protocol.MethodSetMany:
		return &protocol.SetManyParams{}
	case protocol.MethodGetMany:
		return &protocol.GetManyParams{}
	case protocol.MethodGet:
		return &protocol.GetParams{}
	case protocol.MethodDelete:
		return &protocol.DeleteParams{}
	case protocol.MethodFlush:
		return &protocol.FlushParams{}
	default:
		return nil
	}
}

// requireReply has all codecs decode an answer of Go's.
func requireReply(t *testing.T, w *worker, g generator) []byte {
	t.Helper()
	frame, says, failure := g.answer()
	payload := append([]byte(nil), frame[protocol.HeaderBytes:]...)
	answer, err := protocol.DecodeAnswer(payload)
	if err != nil {
		t.Fatalf("Go refuses what it has written: %v", err)
	}
	if failure != nil {
		if !reflect.DeepEqual(answer.Reply.Err, failure) {
			t.Errorf("%+v became %+v", failure, answer.Reply.Err)
		}
	} else {
		again := as[protocol.Result](reflect.New(reflect.TypeOf(says).Elem()).Interface())
		if err := again.Decode(answer.Reply.Result); err != nil || !reflect.DeepEqual(again, says) {
			t.Errorf("%+v became %+v (%v)", says, again, err)
		}
	}
	requireAgreement(t, w, payload)
	return payload
}

// requireSeed tries the messages of a seed: a call, an answer, and damaged copies.
func requireSeed(t *testing.T, w *worker, seed uint64) {
	t.Helper()
	g := newGenerator(seed)
	for _, payload := range [][]byte{requireCall(t, w, g), requireReply(t, w, g)} {
		requireRead(t, w, payload)
		for range 4 {
			if damaged := g.damage(payload); len(damaged) <= math.MaxUint16*4 {
				requireAgreement(t, w, damaged)
				requireRead(t, w, damaged)
			}
		}
	}
	if t.Failed() {
		t.Fatalf("seed %d", seed)
	}
}
