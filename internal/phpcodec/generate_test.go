package phpcodec

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/protocol"
)

// generator makes random messages out of a seed.
type generator struct{ *rand.Rand }

func newGenerator(seed uint64) generator { return generator{rand.New(rand.NewPCG(seed, seed))} }

func one[T any](g generator, of ...T) T { return of[g.IntN(len(of))] }

// chance is true once in n times.
func (g generator) chance(n int) bool { return g.IntN(n) == 0 }

// few is a small number, now and then around the lengths at which msgpack's formats change.
func (g generator) few(most int) int {
	n := g.IntN(5)
	if g.chance(8) {
		n = []int{15, 16, 31, 32, 100, 127, 128, 129}[g.IntN(8)]
	}
	return min(n, most)
}

// integer is an integer of any size, often at a format's edge.
func (g generator) integer() int64 {
	edges := []int64{0, -1, 0x7f, 0xff, 0x7fff, 0xffff, 0x7fffffff, 0xffffffff, math.MaxInt64, -0x20, -0x80, -0x8000, -0x80000000,
		math.MinInt64}
	if g.chance(2) {
		return edges[g.IntN(len(edges))] + int64(g.IntN(3)) - 1 // beyond the last is another edge
	}
	n := int64(g.Uint64() >> g.IntN(64))
	if g.chance(3) {
		return -n
	}
	return n
}

func (g generator) float() float64 {
	switch g.IntN(4) {
	case 0:
		return math.Float64frombits(g.Uint64())
	case 1:
		return float64(math.Float32frombits(g.Uint32()))
	case 2:
		return one(g, 0.0, math.Copysign(0, -1), 0.1, 1e21, 1e-6, 9.99e-7, 1e20, 1e100, 5e-324, math.NaN(), math.Inf(-1), 1.5)
	default:
		return float64(g.integer()) / 100
	}
}

// text is of a random length and kind: ASCII, digits, any letters, or any bytes.
func (g generator) text() string {
	n := g.IntN(20)
	if g.chance(6) {
		n = []int{0, 31, 32, 255, 256, 1000, 65535, 65536}[g.IntN(8)]
	}
	var b strings.Builder
	kind := g.IntN(8)
	for b.Len() < n {
		switch kind {
		case 0:
			b.WriteByte(byte(g.Uint32()))
		case 1:
			b.WriteByte(byte('0' + g.IntN(10)))
		case 2:
			b.WriteRune(rune(g.IntN(0x11_0000))) // an invalid character becomes U+FFFD
		case 3:
			b.WriteRune(rune(0x700 + g.IntN(0x100))) // begins with the bytes that begin long arrays and maps
		default:
			b.WriteByte(byte(' ' + g.IntN(95)))
		}
	}
	return b.String()
}

func (g generator) name() string {
	if g.chance(30) {
		return g.text()
	}
	names := "status subject priority assigned_to customer_id category Größe _rev 12 -7 007 0 a-b"
	if list := strings.Fields(names); g.chance(2) {
		return list[g.IntN(len(list))]
	}
	return fmt.Sprintf("field_%d", g.IntN(1000))
}

// single is a value that PHP may give a field.
func (g generator) single() any {
	switch g.IntN(6) {
	case 0:
		return nil
	case 1:
		return g.chance(2)
	case 2:
		return g.integer()
	case 3:
		return g.float()
	default:
		return g.text()
	}
}

// fields is a map of names to single values.
func (g generator) fields(most int) *array {
	a := newArray()
	for range g.few(most) {
		a.put(g.name(), g.single())
	}
	return a
}

// call is a request made by PHP code: mostly a request that the protocol allows.
func (g generator) call() (method protocol.Method, params *array) {
	params = newArray()
	method = one(g, protocol.MethodCreate, protocol.MethodSet, protocol.MethodSetMany, protocol.MethodGet, protocol.MethodGetMany,
		protocol.MethodList, protocol.MethodDelete, protocol.MethodFlush)
	switch method {
	case protocol.MethodCreate, protocol.MethodSet:
		params.put("id", g.id())
		params.put("fields", g.fields(200))
		g.optional(params)
	case protocol.MethodSetMany:
		pairs := newArray()
		for i := range 1 + g.few(40) {
			pairs.put(int64(i), newArray(g.id(), g.fields(20)))
		}
		params.put("tickets", pairs)
		g.optional(params)
	case protocol.MethodGetMany, protocol.MethodFlush:
		ids := newArray()
		for i := range g.few(200) {
			ids.put(int64(i), g.id())
		}
		params.put("ids", ids)
	case protocol.MethodList:
		params.put("where", g.where())
		params.put("contains", g.fields(3))
		params.put("limit", int64(1+g.IntN(1000)))
	default:
		params.put("id", g.id())
	}
	return method, params
}

func (g generator) id() int64 {
	if g.chance(50) {
		return g.integer()
	}
	return 1 + int64(g.Uint64()>>(1+g.IntN(62)))
}

func (g generator) optional(params *array) {
	if g.chance(2) {
		params.put("request_id", fmt.Sprintf("r-%d", g.Uint32()))
	}
	if g.chance(2) {
		params.put("site", "main")
	}
	if g.chance(4) {
		params.put("ack", "journal")
	}
}

// where is a map of names to values, or to lists of values.
func (g generator) where() *array {
	a := newArray()
	for range g.few(16) {
		if g.chance(2) {
			a.put(g.name(), g.single())
			continue
		}
		choices := newArray()
		for i := range 1 + g.few(99) {
			choices.put(int64(i), g.single())
		}
		a.put(g.name(), choices)
	}
	return a
}

// answer is a frame as the daemon sends it, and its content.
func (g generator) answer() (frame []byte, says protocol.Result, failure *protocol.Error) {
	var e protocol.Encoder
	id := g.Uint32()
	switch g.IntN(6) {
	case 0:
		failure = protocol.Invalid(g.said(), "%s", g.said())
		return e.Failure(id, failure), nil, failure
	case 1:
		says = &protocol.RevisionResult{Revision: g.revision()}
	case 2:
		says = g.ticket()
	case 3:
		many := &protocol.GetManyResult{Tickets: []*protocol.Ticket{}, Stale: g.chance(2)}
		for range g.few(40) {
			many.Tickets = append(many.Tickets, g.ticket())
			if g.chance(5) {
				many.Tickets = append(many.Tickets, nil)
			}
		}
		says = many
	case 4:
		counts := &protocol.CountResult{Count: g.revision(), Groups: []protocol.Group{}}
		for range g.few(200) {
			counts.Groups = append(counts.Groups, protocol.Group{Value: g.held(), Count: g.revision()})
		}
		says = counts
	default:
		letters := &protocol.DeadListResult{Letters: []protocol.Letter{}}
		for range g.few(20) {
			letters.Letters = append(letters.Letters, protocol.Letter{Letter: ticket.Letter{
				ID: ticket.ID(g.revision()), Revision: ticket.Revision(g.revision()), Code: int(g.revision()), Reason: g.said(),
				At: time.UnixMilli(g.revision()), Deleted: g.chance(2), Fields: g.ticket().Fields,
			}})
		}
		says = letters
	}
	frame, err := e.Reply(id, says)
	if err != nil {
		panic(err) // the generator made a message of more than 4 MiB
	}
	return frame, says, nil
}

func (g generator) revision() int64 { return 1 + int64(g.Uint64()>>(11+g.IntN(52))) }

// said is a text as the daemon sends it: UTF-8, and short enough for an error.
func (g generator) said() string {
	s := strings.ToValidUTF8(g.text(), "?")
	return strings.ToValidUTF8(s[:min(len(s), 1000)], "")
}

// held is a value as the daemon sends it.
func (g generator) held() protocol.Value {
	switch g.IntN(3) {
	case 0:
		return protocol.Null
	case 1:
		return protocol.Int(g.integer())
	default:
		return protocol.Text(strings.ToValidUTF8(g.text(), "?"))
	}
}

// ticket has each name once, after PHP's conversion of keys.
func (g generator) ticket() *protocol.Ticket {
	t := &protocol.Ticket{ID: g.revision(), Revision: g.revision(), Stale: g.chance(3), Fields: []protocol.Field{}}
	seen := newArray()
	for range g.few(150) {
		name := strings.ToValidUTF8(g.name(), "?")
		if seen.put(name, nil); len(seen.keys) > len(t.Fields) {
			t.Fields = append(t.Fields, protocol.Field{Name: name, Value: g.held()})
		}
	}
	return t
}

// damage changes a payload in a few places.
func (g generator) damage(payload []byte) []byte {
	b := append([]byte(nil), payload...)
	for range 1 + g.IntN(4) {
		at := g.IntN(len(b) + 1)
		switch g.IntN(6) {
		case 0:
			if at < len(b) {
				b[at] = byte(g.Uint32())
			}
		case 1: // a changed format byte
			if at < len(b) {
				b[at] = byte(0xc0 + g.IntN(0x20))
			}
		case 2:
			b = b[:at]
		case 3: // a repeated piece
			end := at + g.IntN(len(b)-at+1)
			b = append(b[:end:end], b[at:]...)
		case 4:
			end := min(len(b), at+g.IntN(8))
			b = append(b[:at:at], b[end:]...)
		default:
			b = append(b[:at:at], append([]byte(g.bomb()), b[at:]...)...)
		}
	}
	return b
}

// bomb is a piece of msgpack that announces more than it holds, or a class.
func (g generator) bomb() string {
	return one(g,
		"\xdd\xff\xff\xff\xff", "\xdf\xff\xff\xff\xff", "\xdb\xff\xff\xff\xff", "\xc6\x7f\xff\xff\xff", "\xc9\xff\xff\xff\xff\x01",
		"\xdc\xff\xff", "\xde\xff\xff", strings.Repeat("\xdc\xff\xff\xc0", g.IntN(500)),
		strings.Repeat("\xdf\x00\xff\xff\xff\x01\xc0\x02", g.IntN(500)),
		strings.Repeat("\x91", g.IntN(2000)), strings.Repeat("\x81\xa1a", g.IntN(2000)), strings.Repeat("\x91\xc0", g.IntN(1000)),
		"\x82\xc0\xa4Trap\xa1a\x01", "\xc7\x04\x00Trap", "\xd4\x01\x00", "\xd6\xff\x00\x00\x00\x00", "\x81\xc0\xa1a", "\x81\x90\x01",
		"\x81\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\x01",
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "\xca\x7f\xc0\x00\x01", "\xc1",
	)
}
