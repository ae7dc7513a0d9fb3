package site

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"

	"github.com/ticketd/ticketd/protocol"
)

// What a request is identified by, besides its request id: two requests under one id that differ in any of it are different
// ones. A create has no ticket id here, as a client that repeats one proposes another. How the request is to be acknowledged and
// for how long it is remembered may differ, and so may what the daemon adds: the time, and the table's defaults.
type asked struct {
	method     protocol.Method
	id         int64
	fields     []protocol.Field
	ifRevision int64
}

// digestBytes is how many bytes of the SHA-256 are kept: enough that two requests do not have the same digest by chance, and a
// client gains nothing by forging one.
const digestBytes = 8

// digest returns what identifies the request in the stores, as text; empty for a request without an id.
func (a asked) digest(requestID string) string {
	if requestID == "" {
		return ""
	}
	fields := slices.Clone(a.fields)
	slices.SortStableFunc(fields, func(x, y protocol.Field) int { return cmp.Compare(x.Name, y.Name) })
	b := binary.AppendVarint([]byte(string(a.method)+"\x00"), a.id)
	b = binary.AppendVarint(b, a.ifRevision)
	for _, f := range fields {
		b = appendText(b, f.Name)
		if f.Value.IsNull() {
			b = append(b, 0)
		} else {
			b = appendText(append(b, 1), f.Value.Text())
		}
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:digestBytes])
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}
