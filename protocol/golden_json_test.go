package protocol

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// payloadJSON writes a msgpack value as JSON, maps in the order of the wire. The library's own decoder reads the payload, so
// that the golden values do not depend on this package's decoder.
func payloadJSON(payload []byte) (json.RawMessage, error) {
	var out bytes.Buffer
	err := writeJSON(&out, msgpack.NewDecoder(bytes.NewReader(payload)))
	return out.Bytes(), err
}

func writeJSON(out *bytes.Buffer, d *msgpack.Decoder) error {
	code, err := d.PeekCode()
	if err != nil {
		return err
	}
	switch {
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		n, err := d.DecodeMapLen()
		if err != nil {
			return err
		}
		return writeJSONItems(out, "{}", n, func() error { return writeJSONPair(out, d) })
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		n, err := d.DecodeArrayLen()
		if err != nil {
			return err
		}
		return writeJSONItems(out, "[]", n, func() error { return writeJSON(out, d) })
	}
	value, err := d.DecodeInterface()
	if err != nil {
		return err
	}
	return writeJSONScalar(out, value)
}

func writeJSONItems(out *bytes.Buffer, brackets string, n int, item func() error) error {
	out.WriteByte(brackets[0])
	for i := range n {
		if i > 0 {
			out.WriteByte(',')
		}
		if err := item(); err != nil {
			return err
		}
	}
	out.WriteByte(brackets[1])
	return nil
}

func writeJSONPair(out *bytes.Buffer, d *msgpack.Decoder) error {
	key, err := d.DecodeInterface()
	if err != nil {
		return err
	}
	if name, ok := key.([]byte); ok {
		key = string(name)
	}
	if err := writeJSONScalar(out, fmt.Sprint(key)); err != nil { // an integer key is a string in JSON
		return err
	}
	out.WriteByte(':')
	return writeJSON(out, d)
}

func writeJSONScalar(out *bytes.Buffer, value any) error {
	switch v := value.(type) {
	case []byte:
		value = string(v)
	case float64:
		value = jsonFloat(v, 64)
	case float32:
		value = jsonFloat(float64(v), 32)
	}
	text, err := json.Marshal(value)
	out.Write(text)
	return err
}

// jsonFloat writes a whole float as 2.0, not 2.
func jsonFloat(f float64, bits int) json.RawMessage {
	s := strconv.FormatFloat(f, 'g', -1, bits)
	if !strings.ContainsAny(s, ".e") {
		s += ".0"
	}
	return json.RawMessage(s)
}
