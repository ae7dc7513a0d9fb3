package cloudevent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/ticket"
)

const (
	// ContentType is the media type of an encoded event.
	ContentType = "application/cloudevents+json; charset=utf-8"
	// BatchContentType is the media type of a JSON array of encoded events.
	BatchContentType = "application/cloudevents-batch+json; charset=utf-8"

	// MaxSize bounds an encoded event in bytes: what every intermediary of CloudEvents forwards.
	MaxSize = 64 << 10

	// maxNote bounds a sentence for people in bytes.
	maxNote = 1 << 10

	// maxExact is the largest whole number that every reader of JSON holds exactly.
	maxExact = 1<<53 - 1

	// allOmitted stands for every field that the event does not show, where the names alone would pass MaxSize.
	allOmitted = "*"

	// instant is RFC 3339 with all six digits of a microsecond, so that the text of times is ordered as the times are.
	instant = "2006-01-02T15:04:05.000000Z"
)

// Encoder encodes the events of a site.
type Encoder struct {
	source      string
	partitioned bool
	integer     func(name string) bool
}

// NewEncoder makes an encoder for a site. Partitioned says that the store has several partitions, each with its own numbers:
// sequence is a number within source, so the partition is then a part of source. Integer says which fields are integer columns;
// nil leaves that to the values' own mark.
func NewEncoder(site string, partitioned bool, integer func(name string) bool) *Encoder {
	if integer == nil {
		integer = func(string) bool { return false }
	}
	return &Encoder{source: "/ticketd/" + url.PathEscape(site), partitioned: partitioned, integer: integer}
}

// Type is the event's CloudEvents type.
func Type(kind ticket.EventKind) string {
	switch kind {
	case ticket.EventGap, ticket.EventReset, ticket.EventTest:
		return "com.github.ticketd.feed." + string(kind)
	default:
		return "com.github.ticketd.ticket." + string(kind)
	}
}

// envelope is the event as JSON, in the order of docs/feed.md.
type envelope struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`
	Type            string `json:"type"`
	Subject         string `json:"subject,omitempty"`
	Time            string `json:"time,omitempty"`
	RecordedTime    string `json:"recordedtime,omitempty"`
	DataContentType string `json:"datacontenttype"`
	PartitionKey    string `json:"partitionkey,omitempty"`
	Sequence        string `json:"sequence,omitempty"`
	AuthType        string `json:"authtype,omitempty"`
	AuthID          string `json:"authid,omitempty"`
	Data            data   `json:"data"`
}

// data is the event's data. From is a revision in a restated event and a number of the feed in a gap event.
type data struct {
	Ticket       string                     `json:"ticket,omitempty"`
	Revision     ticket.Revision            `json:"revision,omitempty"`
	Previous     ticket.Revision            `json:"previous,omitempty"`
	Acknowledged ticket.Revision            `json:"acknowledged,omitempty"`
	From         uint64                     `json:"from,omitempty"`
	To           uint64                     `json:"to,omitempty"`
	Lost         uint64                     `json:"lost,omitempty"`
	Complete     *bool                      `json:"complete,omitempty"`
	Fields       map[string]json.RawMessage `json:"fields,omitempty"`
	Was          map[string]json.RawMessage `json:"was,omitempty"`
	Omitted      []string                   `json:"omitted,omitempty"`
	Via          string                     `json:"via,omitempty"`
	Note         string                     `json:"note,omitempty"`
}

// Encode returns the event as a JSON object of at most [MaxSize] bytes. The same event has the same bytes every time.
func (c *Encoder) Encode(e *ticket.Event) []byte {
	w := envelope{
		SpecVersion: "1.0", ID: e.ID(), Source: c.source, Type: Type(e.Kind), DataContentType: "application/json",
		Time: timestamp(e.At), RecordedTime: timestamp(e.Recorded), AuthType: authType(e.By), AuthID: e.By, Data: c.data(e),
	}
	if c.partitioned {
		w.Source += "/t" + strconv.Itoa(e.Partition)
	}
	if e.Ticket.Valid() {
		w.Subject, w.PartitionKey = e.Ticket.String(), e.Ticket.String()
	}
	if e.Number > 0 {
		w.Sequence = fmt.Sprintf("%016d", e.Number)
	}
	body := marshal(w)
	for len(body) > MaxSize && w.Data.shorten(len(body)-MaxSize) {
		body = marshal(w)
	}
	return body
}

func (c *Encoder) data(e *ticket.Event) data {
	d := data{
		Revision: e.Revision, Previous: e.Previous, Acknowledged: e.Acknowledged, From: uint64(max(e.From, 0)),
		Fields: c.values(e.Fields), Was: c.values(e.Was), Omitted: slices.Sorted(slices.Values(e.Omitted)),
		Via: e.Via, Note: cut(e.Note, maxNote),
	}
	if e.Ticket.Valid() {
		d.Ticket = e.Ticket.String()
	}
	switch e.Kind {
	case ticket.EventCreated:
		d.Complete = &e.Complete
	case ticket.EventGap:
		d.From, d.To, d.Lost = e.First, e.Last, e.Lost
	default:
	}
	return d
}

func (c *Encoder) values(fields ticket.Fields) map[string]json.RawMessage {
	if len(fields) == 0 {
		return nil
	}
	values := make(map[string]json.RawMessage, len(fields))
	for _, f := range fields {
		values[f.Name] = c.value(f.Name, f.Value)
	}
	return values
}

// value is the value as JSON. An integer is written as MySQL holds it: "007" is 7.
func (c *Encoder) value(name string, v ticket.Value) json.RawMessage {
	switch {
	case v.IsNull():
		return json.RawMessage("null")
	case v.IsInt(), c.integer(name):
		n, err := strconv.ParseInt(v.Text(), 10, 64)
		if err == nil && -maxExact <= n && n <= maxExact {
			return json.RawMessage(strconv.FormatInt(n, 10))
		}
	}
	return marshal(v.Text())
}

// shorten takes the longest values out until excess bytes are saved, and says whether it took anything out. Names decide between
// equal lengths, so that every try of an event has the same bytes.
func (d *data) shorten(excess int) bool {
	type value struct {
		name  string
		old   bool
		saves int
	}
	var values []value
	for name, raw := range d.Was {
		values = append(values, value{name: name, old: true, saves: len(name) + len(raw) + len(`"":,`)})
	}
	for name, raw := range d.Fields {
		values = append(values, value{name: name, saves: len(raw) + len(":")}) // the name moves to omitted
	}
	slices.SortFunc(values, func(a, b value) int {
		switch {
		case a.saves != b.saves:
			return b.saves - a.saves
		case a.old != b.old && a.old:
			return -1
		case a.old != b.old:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	for _, v := range values {
		if excess <= 0 {
			break
		}
		excess -= v.saves
		if v.old {
			delete(d.Was, v.name)
		} else {
			delete(d.Fields, v.name)
			d.Omitted = append(d.Omitted, v.name)
		}
	}
	slices.Sort(d.Omitted)
	if len(values) > 0 {
		return true
	}
	some := len(d.Omitted) > 1
	d.Omitted = []string{allOmitted}
	return some
}

// authType is the authtype of CloudEvents' authcontext extension. By is what the client said, or the user id at the socket.
func authType(by string) string {
	switch kind, _, _ := strings.Cut(by, ":"); kind {
	case "":
		return ""
	case "user":
		return "app_user"
	case "api":
		return "api_key"
	case "unauthenticated":
		return "unauthenticated"
	case "peer", "cli", "system":
		return "system"
	default:
		return "unknown"
	}
}

func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(instant)
}

// cut shortens a text to at most size bytes, at the end of a character.
func cut(s string, size int) string {
	if len(s) <= size {
		return s
	}
	for size > 0 && !utf8.RuneStart(s[size]) {
		size--
	}
	return s[:size]
}

// marshal encodes what this file is made of: texts, numbers and encoded values. That cannot fail. A text that is no UTF-8 gets
// U+FFFD in the place of each wrong byte.
func marshal(v any) []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(fmt.Sprintf("cloudevent: %v", err))
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
