package protocol

import (
	"encoding/hex"
	"reflect"
	"strings"
	"time"
)

// goldenCase is a frame with the expected decoding.
type goldenCase struct {
	name, kind, about string
	frame             []byte
	canonical         bool
	decode            func(payload []byte) (any, error)
	want              any
}

// call is a request with decoded parameters.
type call struct {
	ID     uint32
	Method Method
	Params Params
}

func goldenCases() []goldenCase {
	cases := requestCases()
	cases = append(cases, valueCases()...)
	cases = append(cases, replyCases()...)
	cases = append(cases, errorCases()...)
	return append(cases, progressCases()...)
}

var toMain = Target{Site: "main"}

// sampleParams has a set of parameters for each method, with every parameter present.
func sampleParams() []call {
	fields := []Field{
		{Name: "subject", Value: Text("Printer on fire")},
		{Name: "status", Value: Text("open")},
		{Name: "priority", Value: Text("2")},
		{Name: "assigned_to", Value: Null},
	}
	return []call{
		{1, MethodPing, &SiteParams{Target: toMain}},
		{2, MethodCreate, &CreateParams{
			Change: Change{
				Target: toMain, RequestID: "c-7f3a", Remember: 10 * time.Minute, Ack: AckJournal, By: "user:3", Via: "wp-admin",
			}, ID: 812, Fields: fields,
		}},
		{3, MethodSet, &SetParams{
			Change: Change{Target: toMain, RequestID: "s-1", Remember: time.Second, Ack: AckRedis, By: "unauthenticated", Via: "form"},
			ID:     812, Fields: fields, IfRevision: 1764000000000000, MustExist: true,
		}},
		{4, MethodSetMany, &SetManyParams{
			Change:    Change{Target: toMain, RequestID: "m-1", Remember: MaxRemember, Ack: AckJournal, By: "cli", Via: "import"},
			MustExist: true, Tickets: []TicketFields{
				{ID: 812, Fields: []Field{{Name: "status", Value: Text("pending")}}},
				{ID: 813, Fields: []Field{{Name: "status", Value: Text("closed")}, {Name: "category", Value: Text("")}}},
			},
		}},
		{5, MethodGet, &GetParams{Target: toMain, ID: 812}},
		{6, MethodGetMany, &GetManyParams{Target: toMain, IDs: []int64{812, 1, MaxTicketID}}},
		{7, MethodDelete, &DeleteParams{
			Change: Change{
				Target: toMain, RequestID: "d-1", Remember: 10 * time.Minute, Ack: AckJournal, By: "user:3", Via: "rest",
			}, ID: 812,
		}},
		{8, MethodFlush, &FlushParams{Target: toMain, IDs: []int64{812, 813}}},
		{9, MethodStatus, &SiteParams{Target: toMain}},
		{10, MethodList, &ListParams{
			Target: toMain, Selection: sampleSelection(), Sort: SortUpdated, Ascending: true,
			After: "WyJ1cGRhdGVkX2F0Il0", Limit: 20,
		}},
		{11, MethodCount, &CountParams{Target: toMain, Selection: sampleSelection(), By: "status"}},
		{12, MethodDeadList, &DeadListParams{Target: toMain, After: 812, Limit: 20}},
		{13, MethodDeadRetry, &DeadParams{Target: toMain, IDs: []int64{812, 813}}},
		{15, MethodCheck, &CheckParams{Target: toMain, Entries: []CheckEntry{
			{ID: 812, Fields: []Field{{Name: "status", Value: Text("pending")}}},
			{Fields: fields[:2]},
			{Fields: fields[:1], RequestID: "c-7f3a"},
		}}},
		{14, MethodDeadDrop, &DeadParams{Target: toMain, IDs: []int64{812}}},
		{16, MethodWaiting, &WaitingParams{GetManyParams{Target: toMain, IDs: []int64{812, 813, 814}}}},
		{17, MethodDescribe, &SiteParams{Target: toMain}},
		{18, MethodHistory, &HistoryParams{Target: toMain, ID: 812, Before: 1764000000123456, Field: "status", Limit: 20}},
		{19, MethodEraseHistory, &EraseHistoryParams{Target: toMain, IDs: []int64{812, 813}}},
		{20, MethodFeedStatus, &SiteParams{Target: toMain}},
		{21, MethodFeedControl, &FeedControlParams{
			Target: toMain, Name: "crm", Action: FeedRewind, To: time.UnixMicro(1764000000000000),
		}},
		{22, MethodFeedDeadList, &FeedDeadListParams{Target: toMain, Name: "crm", After: 7, Limit: 20}},
		{23, MethodFeedDeadRetry, &FeedDeadParams{Target: toMain, Name: "crm", All: true}},
		{24, MethodFeedDeadDrop, &FeedDeadParams{Target: toMain, Name: "crm", IDs: []int64{7, 9}}},
		{30, MethodFeedRead, &FeedReadParams{
			Target: toMain, Consumer: "wordpress", Token: "3f7a", Lease: 30 * time.Second, Limit: 200, Wait: time.Second,
		}},
		{31, MethodFeedAck, &FeedAckParams{
			Target: toMain, Consumer: "wordpress", Token: "3f7a", Cursor: "0:E1.4711.1764000000123-0", Refused: "a listener failed",
			Release: true,
		}},
	}
}

func sampleSelection() Selection {
	return Selection{
		Where: []Filter{
			{Field: "status", Is: Equal, Values: []Value{Text("open"), Text("pending")}},
			{Field: "customer_id", Is: Equal, Values: []Value{Text("7")}}, {Field: "assigned_to", Is: Equal, Values: []Value{Null}},
		},
		Created:  Period{From: Text("2026-11-01"), Before: Text("2026-12-01 00:00:00")},
		Updated:  Period{From: Text("2026-11-24T08:00:00Z")},
		Contains: []Field{{Name: "subject", Value: Text("Drucker – 100%")}},
		Deleted:  true, Stale: true,
	}
}

func requestCases() []goldenCase {
	var cases []goldenCase
	for _, c := range sampleParams() {
		about := "the method " + string(c.Method) + " with all of its parameters"
		cases = append(cases, requestCase("request-"+string(c.Method), about, c, true))
	}
	status := []Field{{Name: "status", Value: Text("open")}}
	return append(cases,
		requestCase("request-ping-no-params", "an empty map as params",
			call{1, MethodPing, &SiteParams{}}, false),
		wireCase("request-ping-empty-array", "an empty array stands for an empty map",
			call{1, MethodPing, &SiteParams{}}, "94 00 01", str("ping"), "90"),
		requestCase("request-flush-all", "flush without ids: everything that is dirty",
			call{1, MethodFlush, &FlushParams{All: true}}, false),
		requestCase("request-flush-none", "flush of an empty list of ids: nothing",
			call{1, MethodFlush, &FlushParams{IDs: []int64{}}}, true),
		requestCase("request-list-minimal", "list without parameters: the first page of all",
			call{1, MethodList, &ListParams{}}, false),
		wireCase("request-list-one-choice", "a filter of one value, as an array; desc and fresh are the defaults",
			call{1, MethodList, &ListParams{Selection: Selection{Where: []Filter{
				{Field: "customer_id", Is: Equal, Values: []Value{Text("7")}},
			}}}},
			"94 00 01", str("list"), "83", str("where"), "81", str("customer_id"), "91 07",
			str("order"), str("desc"), str("fresh"), "c3"),
		requestCase("request-list-compared", "filters with operators; the two of one field must both hold",
			call{1, MethodList, &ListParams{Selection: Selection{Where: []Filter{
				{Field: "status", Is: NotEqual, Values: []Value{Text("closed"), Text("spam")}},
				{Field: "ticket_id", Is: Above, Values: []Value{Text("812")}},
				{Field: "ticket_id", Is: AtMost, Values: []Value{Text("900")}},
				{Field: "assigned_to", Is: NotEqual, Values: []Value{Null}},
			}}}}, true),
		requestCase("request-feed_read-after", "a client that keeps its own place reads on",
			call{1, MethodFeedRead, &FeedReadParams{After: []string{"0:E1.4711.1764000000123-0"}}}, true),
		requestCase("request-feed_read-since", "a client begins at a time",
			call{1, MethodFeedRead, &FeedReadParams{Since: time.UnixMicro(1764000000000000)}}, true),
		requestCase("request-dead_drop-all", "every dead letter is given up",
			call{1, MethodDeadDrop, &DeadParams{All: true}}, true),
		requestCase("request-create-minimal", "only what create requires",
			call{1, MethodCreate, &CreateParams{Fields: status}}, true),
		requestCase("request-set-pair", "one pair of a set_many, repeated alone under its own request id",
			call{1, MethodSet, &SetParams{Change: Change{RequestID: strings.Repeat("r", MaxName) + "#999"}, ID: 1, Fields: status}}, true),
		requestCase("request-get-timeout", "the client waits a minute for the reply, or longer",
			call{20, MethodGet, &GetParams{Timed: Timed{Timeout: MaxTimeout}, Target: toMain, ID: 812}}, true),
		requestCase("request-set-table", "the site is the one of this table",
			call{22, MethodSet, &SetParams{
				Change: Change{Target: Target{Table: "wordpress.wp_support_tickets"}, RequestID: "s-2"}, ID: 812, Fields: status,
			}}, true),
		requestCase("request-delete-timeout", "the client waits a millisecond for the reply",
			call{21, MethodDelete, &DeleteParams{
				Change: Change{Timed: Timed{Timeout: time.Millisecond}, RequestID: "d-2"}, ID: 812,
			}}, true),
		requestCase("request-set-minimal", "only what set requires",
			call{1, MethodSet, &SetParams{ID: 1, Fields: status}}, true),
		requestCase("request-id-max", "the largest request id and the largest ticket id",
			call{MaxRequestID, MethodGet, &GetParams{ID: MaxTicketID}}, true),
		wireCase("request-bin-everywhere", "bin where a string is expected: method, names, value",
			call{1, MethodSet, &SetParams{ID: 1, Fields: status}},
			"94 00 01", bin("set"), "82", bin("id"), "01", bin("fields"), "81", bin("status"), bin("open")),
		requestCase("request-names-64", "site, request id and field name of 64 bytes, the longest allowed",
			call{1, MethodCreate, &CreateParams{
				Change: Change{Target: Target{Site: strings.Repeat("s", MaxName)}, RequestID: strings.Repeat("r", MaxName)},
				Fields: []Field{{Name: strings.Repeat("f", MaxName), Value: Text("x")}},
			}}, true),
	)
}

// valueCases set the field "v" of ticket 1 to a value in each wire format.
func valueCases() []goldenCase {
	long := strings.Repeat("0123456789abcdef", 1<<12) + "!" // 65,537 bytes: the first length that needs str32
	return []goldenCase{
		valueCase("nil", "nil is NULL", Null, true, "c0"),
		valueCase("empty-string", "the empty string is not NULL", Text(""), true, "a0"),
		valueCase("true", "true is stored as 1", Text("1"), true, "c3"),
		valueCase("false", "false is stored as 0", Text("0"), true, "c2"),
		valueCase("fixint", "positive fixint", Text("127"), true, "7f"),
		valueCase("negative-fixint", "negative fixint", Text("-32"), true, "e0"),
		valueCase("uint8", "uint 8", Text("255"), true, "cc ff"),
		valueCase("uint16", "uint 16", Text("65535"), true, "cd ffff"),
		valueCase("uint32", "uint 32", Text("4294967295"), true, "ce ffffffff"),
		valueCase("uint64", "uint 64", Text("9223372036854775807"), true, "cf 7fffffffffffffff"),
		valueCase("int8", "int 8", Text("-128"), true, "d0 80"),
		valueCase("int16", "int 16", Text("-32768"), true, "d1 8000"),
		valueCase("int32", "int 32", Text("-2147483648"), true, "d2 80000000"),
		valueCase("int64", "int 64", Text("-9223372036854775808"), true, "d3 8000000000000000"),
		valueCase("uint64-small", "a small integer as uint 64", Text("5"), false, "cf 0000000000000005"),
		valueCase("int64-small", "a small integer as int 64", Text("5"), false, "d3 0000000000000005"),
		valueCase("float64", "float 64", Text("0.1"), true, "cb 3fb999999999999a"),
		valueCase("float64-whole", "a whole number as float 64", Text("1000000"), true, "cb 412e848000000000"),
		valueCase("float64-large", "from 1e21 with an exponent", Text("1e+21"), true, "cb 444b1ae4d6e2ef50"),
		valueCase("float64-negative", "a negative float", Text("-2.5"), true, "cb c004000000000000"),
		valueCase("float32", "float 32", Text("0.5"), false, "ca 3f000000"),
		valueCase("utf8", "UTF-8 of two, three and four bytes", Text("é€😀"), true, str("é€😀")),
		valueCase("str8", "str 8", Text(long[:32]), true, str(long[:32])),
		valueCase("str16", "str 16", Text(long[:256]), true, str(long[:256])),
		valueCase("str32", "str 32, more than 64 KiB", Text(long), true, str(long)),
		valueCase("bin", "bin 8 instead of a string", Text("open"), false, bin("open")),
		wireCase("value-integer-key", "PHP makes an integer of the array key '12': its decimal form is the name",
			call{1, MethodSet, &SetParams{ID: 1, Fields: []Field{{Name: "12", Value: Text("x")}}}},
			"94 00 01", str("set"), "82", str("id"), "01", str("fields"), "81 0c", str("x")),
		wireCase("value-id-as-uint64", "a small ticket id as uint 64",
			call{1, MethodGet, &GetParams{ID: 7}},
			"94 00 01", str("get"), "81", str("id"), "cf 0000000000000007"),
	}
}

func valueCase(name, about string, want Value, canonical bool, wire string) goldenCase {
	c := wireCase("value-"+name, about,
		call{1, MethodSet, &SetParams{ID: 1, Fields: []Field{{Name: "v", Value: want}}}},
		"94 00 01", str("set"), "82", str("id"), "01", str("fields"), "81", str("v"), wire)
	c.canonical = canonical
	return c
}

func requestCase(name, about string, c call, canonical bool) goldenCase {
	var e Encoder
	frame, err := e.Request(c.ID, c.Method, c.Params)
	if err != nil {
		panic(err)
	}
	g := wireCase(name, about, c)
	g.frame, g.canonical = frame, canonical
	return g
}

// wireCase is a request built from pieces of hex that this package's encoder would not write.
func wireCase(name, about string, want call, wire ...string) goldenCase {
	return goldenCase{
		name: name, kind: "request", about: about, frame: handmade(wire...), want: want,
		decode: func(payload []byte) (any, error) {
			req, err := DecodeRequest(payload)
			if err != nil {
				return nil, err
			}
			p := newLike(want.Params)
			return call{req.ID, req.Method, p}, p.Decode(req.Params)
		},
	}
}

// newLike makes a zero value of the type that p points to.
func newLike[T any](p T) T {
	fresh, _ := reflect.TypeAssert[T](reflect.New(reflect.TypeOf(p).Elem()))
	return fresh
}

// handmade makes a frame of a payload in hex, spaces allowed.
func handmade(wire ...string) []byte {
	payload, err := hex.DecodeString(strings.ReplaceAll(strings.Join(wire, ""), " ", ""))
	if err != nil {
		panic(err)
	}
	frame := append(make([]byte, HeaderBytes), payload...)
	if err := seal(frame); err != nil {
		panic(err)
	}
	return frame
}

// str and bin are the hex of a string in the shortest format, and in bin 8.
func str(s string) string {
	var e Encoder
	e.begin()
	e.str(s)
	return hex.EncodeToString(e.buf.Bytes()[HeaderBytes:])
}

func bin(s string) string {
	return "c4" + hex.EncodeToString([]byte{byte(len(s))}) + hex.EncodeToString([]byte(s))
}
