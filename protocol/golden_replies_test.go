package protocol

import (
	"slices"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// sampleResult is a reply of a method, with the decoded result.
type sampleResult struct {
	id     uint32
	method Method
	result Result
}

type deadLetter = ticket.Letter // where a variable has the package's name

func sampleResults() []sampleResult {
	const revision = 1764000000000001
	ticket := &Ticket{ID: 812, Revision: revision, Fields: []Field{
		{Name: "subject", Value: Text("Drucker brennt – schön")},
		{Name: "priority", Value: Int(2)},
		{Name: "customer_id", Value: Int(-1)},
		{Name: "assigned_to", Value: Null},
		{Name: "category", Value: Text("")},
	}}
	return []sampleResult{
		{1, MethodPing, &PingResult{Version: "1.0.0", Protocol: Version, Features: []string{FeatureBy, FeatureFeed}}},
		{2, MethodCreate, &CreateResult{ID: 812, Revision: revision}},
		{3, MethodSet, &RevisionResult{Revision: MaxRevision}},
		{4, MethodSetMany, &SetManyResult{Outcomes: []SetOutcome{
			{Revision: revision},
			{Err: Invalid("priority", "the value is not a whole number")},
		}}},
		{5, MethodGet, ticket},
		{6, MethodGetMany, &GetManyResult{Tickets: []*Ticket{ticket, nil}}},
		{7, MethodDelete, &RevisionResult{Revision: revision}},
		{8, MethodFlush, &FlushResult{Flushed: 70000, Dead: 1}},
		{9, MethodStatus, &StatusResult{
			DaemonStatus: DaemonStatus{
				Version: "1.0.0", UptimeMS: 86400000, PID: 4711, ConnectionsOpen: 3, ConnectionsLimit: 1024,
				Spool: SpoolStatus{Files: 2, Bytes: 330, OldestMS: 5000, Taken: 12, Bad: 1},
			},
			SiteStatus: SiteStatus{
				Site: "main", Backend: BackendRedis, Ack: AckJournal, Strategy: "event", Dirty: 17, Dead: 1, OldestDirtyMS: 180,
				FlushedRows: 100000, FlushStatements: 250, FlushErrors: 2,
				Store:    Place{State: StateUp, SinceMS: 86400000},
				Sink:     Place{State: StateDown, SinceMS: 1500, Reason: "connection refused"},
				Journal:  JournalStatus{Entries: 3, Bytes: 512, OldestMS: 40, Replayed: 70000, Segments: 2, Requests: 5},
				Warnings: []string{"Redis may evict changes: set maxmemory-policy to noeviction"},
			},
		}},
		{10, MethodList, &ListResult{Tickets: []*Ticket{ticket}, Next: "WyJ1cGRhdGVkX2F0Il0"}},
		{11, MethodCount, &CountResult{Count: 70000}},
		{12, MethodDeadList, &DeadListResult{Letters: []Letter{{Letter: deadLetter{
			ID: 812, Revision: revision, Code: 4025, Reason: "CONSTRAINT `priority` failed", At: time.UnixMilli(1764000000001),
			Fields: []Field{{Name: "priority", Value: Text("forbidden")}, {Name: "assigned_to", Value: Null}},
		}}}}},
		{13, MethodDeadRetry, &CountResult{Count: 2}},
		{15, MethodCheck, &CheckResult{Outcomes: []CheckOutcome{
			{ID: 812, Revision: revision, Differs: []string{"status"}},
			{Differs: []string{"subject", "status"}},
			{ID: 813, Revision: revision, Differs: []string{}},
			{Err: Invalid("priority", "the value is not a whole number")},
		}}},
		{14, MethodDeadDrop, &CountResult{Count: 0}},
		{16, MethodWaiting, &WaitingResult{Tickets: []*WaitingTicket{
			{Revision: revision, Fields: []Field{
				{Name: "status", Value: Text("closed")}, {Name: "replies", Value: Text("7")}, {Name: "last_reply", Value: Null},
			}},
			nil,
			{Revision: revision, Fields: []Field{{Name: "notes", Value: Text("a:0:{}")}}, Deleted: true},
		}}},
		{18, MethodHistory, &HistoryResult{Stale: true, Next: 1764000000123456, Changes: []HistoryChange{
			{
				Revision: 1764000000123457, Kind: "updated", At: time.UnixMicro(1764000000123457), By: "user:3", Via: "wp-admin",
				Values: []FieldChange{
					{Name: "assigned_to", Values: []Value{Null, Int(3)}}, {Name: "notes", Values: []Value{}},
					{Name: "status", Values: []Value{Text("pending")}},
				}, Gap: true,
			},
			{Revision: 1764000000123456, Kind: "created", At: time.UnixMicro(1764000000123456), Erased: true},
		}}},
		{19, MethodEraseHistory, &CountResult{Count: 2}},
		{20, MethodFeedStatus, &FeedStatusResult{
			Enabled: true, Backlog: 812, BacklogBytes: 70000,
			Destinations: []FeedDestination{{
				Name: "crm", Kind: "webhook", State: "retrying", Reason: "503 Service Unavailable", SinceMS: 60000, LagEvents: 812,
				LagMS: 61000, Letters: 1, Held: 2, Gaps: 1, Lost: 12, Sent: 70000, Snapshot: true, Rows: 400,
			}, {Name: "wordpress", Kind: "pull", State: "up", Runner: true}},
			History: HistoryStatus{Enabled: true, Rows: 864000, Bytes: 200000000, KeepMS: 15552000000},
		}},
		{21, MethodFeedControl, &FeedControlResult{}},
		{22, MethodFeedDeadList, &FeedDeadListResult{Letters: []FeedLetter{{
			ID: 7, Kind: "updated", Ticket: 812, Revision: 1764000000123457,
			Fields: []Field{{Name: "status", Value: Text("pending")}, {Name: "assigned_to", Value: Null}},
			Since:  time.UnixMicro(1764000000123457), At: time.UnixMicro(1764000060123457), Tries: 3, Held: true,
			Reason: "422 Unprocessable Content", Answer: "no such status",
		}}}},
		{23, MethodFeedDeadRetry, &CountResult{Count: 1}},
		{24, MethodFeedDeadDrop, &CountResult{Count: 2}},
		{17, MethodDescribe, &DescribeResult{
			Kind: KindPostMeta, Table: "wordpress.wp_postmeta", PostTypes: []string{"ticket"},
			Keys:       map[string]string{"assignee": "_wpas_assignee", "status": "_wpas_status"},
			Posts:      map[string]string{"status": "post_status", "updated_at": "post_modified"},
			Types:      map[string]string{"assignee": "text", "status": "varchar", "updated_at": "datetime"},
			AddsBehind: true, QueryWait: 250 * time.Millisecond, MaxValue: 1 << 20,
		}},
		{30, MethodFeedRead, &FeedReadResult{
			Events: []FeedEvent{
				{
					ID: "812-1764000000000001", Kind: "updated", Ticket: 812, Revision: revision, Previous: 1763999990000001,
					Acknowledged: 1763999999999999, At: time.UnixMicro(1764000000000001), Recorded: time.UnixMicro(1764000000124001),
					By: "user:3", Via: "wp-admin",
					Fields: []Field{
						{Name: "status", Value: Text("pending")}, {Name: "assigned_to", Value: Int(3)}, {Name: "due_at", Value: Null},
					},
					Was:     []Field{{Name: "status", Value: Text("open")}, {Name: "assigned_to", Value: Null}},
					Omitted: []string{"subject"}, Partition: 17, Number: 4711, Cursor: "17:E1.4711.1764000000124-0", Deliveries: 1,
				},
				{
					ID: "gap-17-4712", Kind: "gap", At: time.UnixMicro(1764000000124001), Recorded: time.UnixMicro(1764000000124001),
					Partition: 17, Number: 4799, First: 4712, Last: 4799, Lost: 88, Cursor: "17:E1.4799.1764000000124-0",
				},
				{
					ID: "812-1764000000000002", Kind: "created", Ticket: 812, Revision: revision + 1, From: revision, Complete: true,
					At: time.UnixMicro(1764000000000002), Recorded: time.UnixMicro(1764000000124001), Note: "x",
					Partition: 17, Number: 4800, Cursor: "17:E1.4800.1764000000125-0",
				},
			},
			Busy: true, Next: []string{"17:E1.4800.1764000000125-0"},
		}},
		{31, MethodFeedAck, &FeedAckResult{}},
	}
}

func replyCases() []goldenCase {
	var cases []goldenCase
	for _, s := range sampleResults() {
		cases = append(cases, replyCase("reply-"+string(s.method), "the result of "+string(s.method), s, true))
	}
	cases = append(cases, replyCase("reply-list-last", "the last page: there is no next",
		sampleResult{1, MethodList, &ListResult{Tickets: []*Ticket{}}}, false))
	cases = append(cases, replyCase("reply-count-by", "a count by a field: numbers by value, the largest first",
		sampleResult{1, MethodCount, &CountResult{Count: 12, Groups: []Group{
			{Value: Text("open"), Count: 9}, {Value: Null, Count: 2}, {Value: Int(-7), Count: 1},
		}}}, true),
		replyCase("reply-count-by-none", "a count by a field that finds no ticket",
			sampleResult{1, MethodCount, &CountResult{Groups: []Group{}}}, false))
	stale := &Ticket{ID: 812, Revision: 1764000000000001, Fields: []Field{{Name: "status", Value: Text("open")}}, Stale: true}
	for _, s := range []sampleResult{
		{1, MethodGet, stale},
		{2, MethodGetMany, &GetManyResult{Tickets: []*Ticket{stale, nil}, Stale: true}},
		{3, MethodList, &ListResult{Tickets: []*Ticket{stale}, Next: "WyJ1cGRhdGVkX2F0Il0", Stale: true}},
		{4, MethodCount, &CountResult{Count: 3, Stale: true}},
	} {
		cases = append(cases, replyCase("reply-"+string(s.method)+"-stale",
			"the result of "+string(s.method)+" while Redis does not answer", s, true))
	}
	cases = append(cases, replyCase("reply-list-locked", "a page that lacks changes of tickets whose rows are locked in MySQL",
		sampleResult{1, MethodList, &ListResult{Tickets: []*Ticket{}, Stale: true, Locked: []int64{812, 813}}}, true))
	cases = append(cases,
		replyCase("reply-waiting-none", "no ticket has pending changes",
			sampleResult{1, MethodWaiting, &WaitingResult{Tickets: []*WaitingTicket{nil, nil}}}, true),
		replyCase("reply-waiting-stale", "pending changes may be missing",
			sampleResult{1, MethodWaiting, &WaitingResult{Tickets: []*WaitingTicket{nil}, Stale: true}}, true),
		replyCase("reply-waiting-deleted", "a deletion is pending, and nothing else",
			sampleResult{1, MethodWaiting, &WaitingResult{Tickets: []*WaitingTicket{
				{Revision: 1764000000000001, Fields: []Field{}, Deleted: true},
			}}}, false),
		replyCase("reply-describe-table", "the site's tickets are in a table of their own",
			sampleResult{1, MethodDescribe, &DescribeResult{
				Kind: KindTable, Table: "wordpress.wp_support_tickets", PostTypes: []string{}, Keys: map[string]string{},
				Posts: map[string]string{}, Types: map[string]string{"priority": "integer", "status": "varchar"}, AddsBehind: true,
			}}, false))
	return append(cases, replyCase("reply-get-no-fields", "a ticket without any field: an empty map",
		sampleResult{1, MethodGet, &Ticket{ID: 1, Revision: 1, Fields: []Field{}}}, false))
}

func replyCase(name, about string, s sampleResult, canonical bool) goldenCase {
	var e Encoder
	frame, err := e.Reply(s.id, s.result)
	if err != nil {
		panic(err)
	}
	return goldenCase{
		name: name, kind: "reply", about: about, frame: frame, canonical: canonical, want: s,
		decode: func(payload []byte) (any, error) {
			answer, err := DecodeAnswer(payload)
			if err != nil {
				return nil, err
			}
			r := newLike(s.result)
			return sampleResult{answer.Reply.ID, s.method, r}, r.Decode(answer.Reply.Result)
		},
	}
}

// sampleErrors has every code once, as the daemon sends the code.
func sampleErrors() []*Error {
	return []*Error{
		Errorf(CodeMalformed, "the payload is not exactly one msgpack value"),
		Errorf(CodeVersion, "the frame has version 2; this side speaks version 1"),
		Closing(CodeTooLarge, "the frame announces 5000000 bytes; at most 4194304 are allowed: split it"),
		Errorf(CodeUnknownMethod, "there is no such method"),
		Invalid("subject", "the value has 300 characters, the column takes 255"),
		Errorf(CodeForbidden, "user 1000 may not use this site"),
		Errorf(CodeNotFound, "there is no ticket 812"),
		Conflict(1764000000000001, "the ticket is at revision 1764000000000001"),
		Errorf(CodeExists, "ticket 812 exists already: create takes an id that no ticket has or had"),
		Closing(CodeOverloaded, "1024 connections are open: try again later"),
		Errorf(CodeUnavailable, "Redis does not answer: try again later"),
		Errorf(CodeShuttingDown, "the daemon stops: try again later"),
		Errorf(CodeInternal, "a fault in ticketd: see its log"),
	}
}

func errorCases() []goldenCase {
	var cases []goldenCase
	for i, e := range sampleErrors() {
		id := uint32(i)
		if slices.Contains([]Code{CodeMalformed, CodeVersion, CodeTooLarge, CodeOverloaded}, e.Code) {
			id = 0 // the error concerns a frame or a connection, not a request
		}
		var enc Encoder
		frame := append([]byte(nil), enc.Failure(id, e)...)
		cases = append(cases, goldenCase{
			name: "error-" + string(e.Code), kind: "reply", about: "the error " + string(e.Code),
			frame: frame, canonical: true, want: &Reply{ID: id, Err: e},
			decode: func(payload []byte) (any, error) {
				answer, err := DecodeAnswer(payload)
				return answer.Reply, err
			},
		})
	}
	return cases
}

func progressCases() []goldenCase {
	var cases []goldenCase
	for _, p := range []struct {
		name, about string
		progress    Progress
	}{
		{"progress-start", "nothing done yet", Progress{ID: 8, Total: 70000}},
		{"progress", "half of it done", Progress{ID: 8, Done: 35000, Total: 70000}},
	} {
		var enc Encoder
		cases = append(cases, goldenCase{
			name: p.name, kind: "progress", about: p.about, canonical: true,
			frame: append([]byte(nil), enc.Progress(p.progress)...), want: &p.progress,
			decode: func(payload []byte) (any, error) {
				answer, err := DecodeAnswer(payload)
				return answer.Progress, err
			},
		})
	}
	return cases
}
