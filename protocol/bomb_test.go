package protocol

import (
	"encoding/binary"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// bombs are values that announce or hold far more than any request has, as complete msgpack where possible.
func bombs() map[string]string {
	most, million, long := MaxPayload-1<<10, 1_000_000, 0x3ff000
	if raceEnabled { // slow, and a quarter is much, too
		most, million, long = most/4, million/4, long/4
	}
	count := func(n int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(n))) }
	return map[string]string{
		"deep arrays":         strings.Repeat("\x91", most) + "\xc0",
		"deep maps":           strings.Repeat("\x81\xa1a", most/3) + "\xc0",
		"deep maps as keys":   strings.Repeat("\x81", most/2) + strings.Repeat("\xc0", most/2+1),
		"deep array32":        strings.Repeat("\xdd\x00\x00\x00\x01", most/5) + "\xc0",
		"a million nils":      "\xdd" + count(million) + strings.Repeat("\xc0", million),
		"a million pairs":     "\xdf" + count(million) + strings.Repeat("\xc0\xc0", million),
		"a million same keys": "\xdf" + count(million) + strings.Repeat("\xa1a\xc0", million),
		"a million numbers":   "\xdf" + count(million) + strings.Repeat("\x01\x01", million),
		"a million arrays":    "\xdd" + count(million) + strings.Repeat("\x90", million),
		"a million names":     "\xdf" + count(million) + strings.Repeat("\xa0\xa0", million),
		"a long string":       "\xdb" + count(long) + strings.Repeat("a", long),
		"a long bin":          "\xc6" + count(long) + strings.Repeat("\xff", long),
		"a long ext":          "\xc9" + count(long) + "\x01" + strings.Repeat("\x00", long),
		"a timestamp":         "\xd7\xff\x00\x00\x00\x00\x00\x00\x00\x00",
		"a class of PHP":      "\x82\xc0\xa3Foo\xa1x\xa1y",
		"array of 4 billion":  "\xdd\xff\xff\xff\xff",
		"map of 4 billion":    "\xdf\xff\xff\xff\xff",
		"map of 2 billion":    "\xdf\x7f\xff\xff\xff",
		"map of 2^31":         "\xdf\x80\x00\x00\x00",
		"string of 4 GiB":     "\xdb\xff\xff\xff\xff",
		"bin of 4 GiB":        "\xc6\xff\xff\xff\xff",
		"ext of 4 GiB":        "\xc9\xff\xff\xff\xff\x01",
		"array16 of nothing":  "\xdc\xff\xff",
		"the unused code":     "\xc1",
	}
}

// places are where a value may stand in a request: each takes the bomb in.
func places() map[string]func(bomb string) string {
	params := func(method Method, before string) func(string) string {
		return func(bomb string) string {
			return "\x94\x00\x01" + "\xd9" + string(rune(len(method))) + string(method) + before + bomb
		}
	}
	return map[string]func(string) string{
		"the message":       func(bomb string) string { return bomb },
		"the type":          func(bomb string) string { return "\x94" + bomb + "\x01\xa4ping\x80" },
		"the id":            func(bomb string) string { return "\x94\x00" + bomb + "\xa4ping\x80" },
		"the method":        func(bomb string) string { return "\x94\x00\x01" + bomb + "\x80" },
		"the parameters":    params(MethodSet, ""),
		"a parameter":       params(MethodSet, "\x81\xa2id"),
		"a parameter's key": func(bomb string) string { return params(MethodSet, "\x81")(bomb) + "\x01" },
		"the site":          params(MethodPing, "\x81\xa4site"),
		"the request id":    params(MethodDelete, "\x82\xa2id\x01\xaarequest_id"),
		"the fields":        params(MethodSet, "\x82\xa2id\x01\xa6fields"),
		"a field's name":    func(bomb string) string { return params(MethodSet, "\x82\xa2id\x01\xa6fields\x81")(bomb) + "\x01" },
		"a field's value":   params(MethodSet, "\x82\xa2id\x01\xa6fields\x81\xa1a"),
		"the tickets":       params(MethodSetMany, "\x81\xa7tickets"),
		"a pair":            params(MethodSetMany, "\x81\xa7tickets\x91"),
		"a pair's fields":   params(MethodSetMany, "\x81\xa7tickets\x91\x92\x01"),
		"the entries":       params(MethodCheck, "\x81\xa7entries"),
		"an entry":          params(MethodCheck, "\x81\xa7entries\x91"),
		"the ids":           params(MethodGetMany, "\x81\xa3ids"),
		"an id of many":     params(MethodGetMany, "\x81\xa3ids\x91"),
		"the ids to erase":  params(MethodEraseHistory, "\x81\xa3ids"),
		"the letters":       params(MethodFeedDeadDrop, "\x81\xa3ids"),
		"the ids that wait": params(MethodWaiting, "\x81\xa3ids"),
		"where":             params(MethodList, "\x81\xa5where"),
		"a where's value":   params(MethodList, "\x81\xa5where\x81\xa1a"),
		"contains":          params(MethodList, "\x81\xa8contains"),
		"a period":          params(MethodList, "\x81\xaacreated_at"),
		"a cursor":          params(MethodList, "\x81\xa5after"),
	}
}

// The decoder accepts or refuses every bomb in every place within bounded time and with a bounded allocation: a small
// multiple of the frame, never the announced size. A refusal keeps its code; an accepted bomb is a text, the only large value
// that a request may hold.
func TestBombs(t *testing.T) { //nolint:paralleltest // the test measures the allocations of the process
	const (
		mostBytes = 10 * MaxPayload
		mostTime  = 10 * time.Second // a thousand times the usual time: a busy machine must not fail, a quadratic loop must
	)
	all := bombs()
	for place, within := range places() {
		for name, bomb := range all {
			payload := []byte(within(bomb))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			began := time.Now()
			err := decodeAll(payload)
			took := time.Since(began)
			runtime.ReadMemStats(&after)
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > mostBytes {
				t.Errorf("%s as %s: %d bytes were allocated for %d", name, place, allocated, len(payload))
			}
			if took > mostTime {
				t.Errorf("%s as %s: it took %v", name, place, took)
			}
			var refusal *Error
			switch {
			case err == nil && name == "a long string" && (place == "a field's value" || place == "a where's value"):
			case !errors.As(err, &refusal) || refusal.Code != CodeMalformed && refusal.Code != CodeInvalid:
				t.Errorf("%s as %s: %v, want it refused", name, place, err)
			case len(refusal.Message)+len(refusal.Field) > 1<<10:
				t.Errorf("%s as %s: an error of %d bytes", name, place, len(refusal.Message)+len(refusal.Field))
			}
		}
	}
}

// decodeAll decodes a payload as the daemon and as a client do.
func decodeAll(payload []byte) error {
	_, _ = DecodeAnswer(payload)
	req, err := DecodeRequest(payload)
	if err != nil {
		return err
	}
	p := newParams(req.Method)
	if p == nil {
		return Errorf(CodeInvalid, "no such method")
	}
	if err := p.Decode(req.Params); err != nil {
		return err
	}
	if many, ok := p.(*SetManyParams); ok && many.Tickets[0].Err != nil {
		return many.Tickets[0].Err // a pair is refused alone
	}
	return nil
}
