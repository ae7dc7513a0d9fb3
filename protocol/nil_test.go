package protocol

import (
	"errors"
	"fmt"
	"testing"
)

// An optional parameter is left out, and never nil: a nil from a variable that was never set must not mean an absent
// parameter. The ends of a period are values, and nil is a value.
func TestOptionalParameterIsNeverNil(t *testing.T) {
	t.Parallel()
	id := map[string]string{"id": "01"}
	fields := map[string]string{"id": "01", "fields": "81" + str("status") + "a1 78"}
	shared := []string{"site", "timeout_ms", "request_id", "remember", "ack", "by", "via"}
	for method, c := range map[Method]struct {
		needs    map[string]string
		optional []string
	}{
		MethodCreate:        {map[string]string{"fields": fields["fields"]}, append([]string{"id", "identity"}, shared...)},
		MethodSet:           {fields, append([]string{"if_revision", "must_exist", "identity"}, shared...)},
		MethodSetMany:       {map[string]string{"tickets": "91 92 01" + fields["fields"]}, append([]string{"must_exist"}, shared...)},
		MethodCheck:         {map[string]string{"entries": "91 92 01" + fields["fields"]}, []string{"site", "timeout_ms"}},
		MethodGet:           {id, []string{"site", "timeout_ms"}},
		MethodDelete:        {id, append([]string{"identity"}, shared...)},
		MethodFlush:         {nil, []string{"site", "ids"}},
		MethodStatus:        {nil, []string{"site", "timeout_ms"}},
		MethodDescribe:      {nil, []string{"site", "timeout_ms"}},
		MethodWaiting:       {map[string]string{"ids": "91 01"}, []string{"site", "timeout_ms"}},
		MethodHistory:       {id, []string{"site", "timeout_ms", "before", "field", "limit"}},
		MethodEraseHistory:  {map[string]string{"ids": "91 01"}, []string{"site", "timeout_ms"}},
		MethodFeedControl:   {map[string]string{"name": "a1 61", "action": str("pause")}, []string{"site", "timeout_ms", "to_us"}},
		MethodFeedDeadList:  {map[string]string{"name": "a1 61"}, []string{"site", "timeout_ms", "after", "limit"}},
		MethodFeedDeadRetry: {map[string]string{"name": "a1 61", "all": "c3"}, []string{"site", "timeout_ms", "ids"}},
		MethodDeadList:      {nil, []string{"site", "timeout_ms", "after", "limit"}},
		MethodDeadRetry:     {map[string]string{"all": "c3"}, []string{"site", "timeout_ms", "ids"}},
		MethodList: {nil, []string{
			"site", "timeout_ms", "where", "contains", "created_at", "updated_at", "deleted", "fresh", "sort", "order", "limit", "after",
		}},
		MethodFeedRead: {nil, []string{
			"site", "timeout_ms", "consumer", "token", "lease_ms", "wait_ms", "limit", "after", "since_us",
		}},
		MethodFeedAck: {
			map[string]string{"consumer": str("c"), "token": str("t"), "cursor": str("x")},
			[]string{"site", "timeout_ms", "refused", "release"},
		},
		MethodCount: {nil, []string{"site", "timeout_ms", "where", "by", "deleted"}},
	} {
		for _, name := range c.optional {
			wire := []string{fmt.Sprintf("%02x", 0x80+len(c.needs)+1), str(name), "c0"}
			for key, value := range c.needs {
				wire = append(wire, str(key), value)
			}
			err := newParams(method).Decode(Raw(handmade(wire...)[HeaderBytes:]))
			var refused *Error
			if !errors.As(err, &refused) || refused.Code != CodeInvalid || refused.Field != name {
				t.Errorf("%s with %s nil: %v, want it refused by its name", method, name, err)
			}
		}
	}
	var p ListParams
	open := handmade("81", str("created_at"), "82", str("from"), "c0", str("before"), str("2026-12-01"))
	if err := p.Decode(Raw(open[HeaderBytes:])); err != nil || !p.Created.From.IsNull() || p.Created.Before.Text() != "2026-12-01" {
		t.Errorf("a period without a beginning: %+v (%v)", p.Created, err)
	}
}
