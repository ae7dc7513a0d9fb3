package cloudevent_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/feed/cloudevent"
)

var update = flag.Bool("update", false, "write the golden files anew")

var at = time.Date(2026, 11, 29, 19, 40, 0, 123_456_000, time.UTC)

// integer is the table of the tests: two integer columns whose values come unmarked.
func integer(name string) bool { return name == "assigned_to" || name == "customer_id" }

func updated() ticket.Event {
	return ticket.Event{
		Kind: ticket.EventUpdated, Number: 4711, Ticket: 812, Revision: 1764000000123456, Previous: 1763999990000001,
		At: at, Recorded: at.Add(545 * time.Microsecond), By: "user:3", Via: "wp-admin",
		Fields: ticket.Fields{
			{Name: "status", Value: ticket.Text("pending")}, {Name: "assigned_to", Value: ticket.Text("3")}, {Name: "due_at"},
		},
		Was: ticket.Fields{{Name: "status", Value: ticket.Text("open")}, {Name: "assigned_to"}},
	}
}

// golden are the events of the golden files, which docs/feed.md shows and other programs may test against.
func golden() map[string]ticket.Event {
	change := updated()
	of := func(edit func(e *ticket.Event)) ticket.Event {
		e := ticket.Event{Ticket: 812, Revision: change.Revision, Number: 4711, At: at, Recorded: at, By: "peer:33"}
		edit(&e)
		return e
	}
	return map[string]ticket.Event{
		"updated": change,
		"created": of(func(e *ticket.Event) {
			e.Kind, e.Complete, e.By, e.Via = ticket.EventCreated, true, "unauthenticated", "form"
			e.Fields = ticket.Fields{
				{Name: "subject", Value: ticket.Text("Résumé <b>&</b> \"quotes\" 🎫")}, {Name: "status", Value: ticket.Text("open")},
			}
		}),
		"created-in-part": of(func(e *ticket.Event) {
			e.Kind, e.Fields = ticket.EventCreated, ticket.Fields{{Name: "subject", Value: ticket.Text("")}}
		}),
		"deleted": of(func(e *ticket.Event) { e.Kind, e.Previous = ticket.EventDeleted, change.Previous }),
		"restated": of(func(e *ticket.Event) {
			e.Kind, e.From, e.By = ticket.EventRestated, change.Previous, ""
		}),
		"replayed": of(func(e *ticket.Event) {
			e.Kind, e.Acknowledged, e.Omitted = ticket.EventUpdated, change.Previous, []string{"subject", "description"}
		}),
		"dropped": of(func(e *ticket.Event) { e.Kind, e.By = ticket.EventDropped, "cli" }),
		"erased":  of(func(e *ticket.Event) { e.Kind, e.By = ticket.EventErased, "user:1" }),
		"snapshot": of(func(e *ticket.Event) {
			e.Kind, e.Number, e.By, e.Fields = ticket.EventSnapshot, 0, "", ticket.Fields{{Name: "status", Value: ticket.Text("open")}}
		}),
		"gap":   {Kind: ticket.EventGap, Partition: 0, First: 12, Last: 40, Lost: 29, At: at, Recorded: at},
		"reset": {Kind: ticket.EventReset, Number: 1, At: at, Recorded: at, Note: "Redis was emptied"},
		"test":  {Kind: ticket.EventTest, At: at, Note: "a test by ticketd feed test"},
		"numbers": of(func(e *ticket.Event) {
			e.Kind, e.Ticket = ticket.EventUpdated, 9223372036854775807
			e.Fields = ticket.Fields{
				{Name: "12", Value: ticket.Text("a field whose name is a number")},
				{Name: "customer_id", Value: ticket.Text("9007199254740993")}, // 2^53+1
				{Name: "assigned_to", Value: ticket.Text("-0")},
				{Name: "priority", Value: ticket.Int(9007199254740991)},
				{Name: "rank", Value: ticket.Int(-9007199254740992)},
				{Name: "like_json", Value: ticket.Text(`{"a":1}`)},
				{Name: "like_a_number", Value: ticket.Text("5")},
				{Name: "empty", Value: ticket.Text("")},
				{Name: "nul", Value: ticket.Text("a\x00b")},
				{Name: "no_utf8", Value: ticket.Text("a\xffb")},
				{Name: "none"},
			}
		}),
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	events := golden()
	clustered := updated()
	clustered.Partition = 17
	bodies := map[string][]byte{"cluster": cloudevent.NewEncoder("main", true, integer).Encode(&clustered)}
	for name, e := range events {
		bodies[name] = cloudevent.NewEncoder("main", false, integer).Encode(&e)
	}
	for name, body := range bodies {
		checkEvent(t, name, body)
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, body, "", "  "); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		path := filepath.Join("testdata", name+".json")
		if *update {
			if err := os.WriteFile(path, append(pretty.Bytes(), '\n'), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := pretty.String() + "\n"; got != string(want) {
			t.Errorf("%s is\n%s\nnot\n%s", name, got, want)
		}
	}
}

// Consumers drop an event whose source and id they have seen: what is no change may not have a change's id.
func TestIDsDiffer(t *testing.T) {
	t.Parallel()
	change := updated()
	seen := map[string]string{change.ID(): "updated"}
	for name, e := range golden() {
		if strings.Contains(e.ID(), ".") {
			t.Errorf("%s: the id %s has a dot, which Standard Webhooks forbids", name, e.ID())
		}
		if e.IsChange() {
			continue
		}
		if same, ok := seen[e.ID()]; ok {
			t.Errorf("%s and %s have the id %s", name, same, e.ID())
		}
		seen[e.ID()] = name
	}
}

// An event of every size is at most 64 KiB long, keeps what fits, and is the same at each try.
func TestSizes(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]struct{ fields, bytes, names int }{
		"one long value":              {1, 1 << 20, 0},
		"as long as the feed's bound": {128, 4 << 10, 0},
		"a little too long":           {16, 4 << 10, 0},
		"control characters":          {20, 4 << 10, 1},
		"names alone too long":        {1024, 1, 64},
	} {
		e := updated()
		e.Fields, e.Was = nil, nil
		for i := range shape.fields {
			field := ticket.Field{
				Name:  fmt.Sprintf("f%0*d", max(shape.names-1, 4), i),
				Value: ticket.Text(strings.Repeat("x\x01"[shape.names&1:][:1], shape.bytes-i%7*shape.bytes/100)),
			}
			e.Fields, e.Was = append(e.Fields, field), append(e.Was, field)
		}
		encoder := cloudevent.NewEncoder("main", false, nil)
		body := encoder.Encode(&e)
		checkEvent(t, name, body)
		if len(body) < cloudevent.MaxSize/4 && shape.fields*shape.bytes > 1<<20 && shape.fields > 1 {
			t.Errorf("%s: only %d bytes are left", name, len(body))
		}
		if again := encoder.Encode(&e); !bytes.Equal(body, again) {
			t.Errorf("%s: a second try has other bytes", name)
		}
		var read struct {
			Data struct {
				Fields  map[string]string `json:"fields"`
				Omitted []string          `json:"omitted"`
			} `json:"data"`
		}
		if err := json.Unmarshal(body, &read); err != nil {
			t.Fatal(err)
		}
		all := slices.Equal(read.Data.Omitted, []string{"*"})
		if got := len(read.Data.Fields) + len(read.Data.Omitted); got != shape.fields && !all {
			t.Errorf("%s: %d of %d names are in the event", name, got, shape.fields)
		}
	}
}

// Readers of other languages get the same texts and numbers back.
func TestPHPReadsTheSame(t *testing.T) {
	t.Parallel()
	php, err := exec.LookPath("php")
	if err != nil {
		t.Fatal(err)
	}
	e := golden()["numbers"]
	cmd := exec.CommandContext(t.Context(), php, "-n", "-r", `
		$e = json_decode( stream_get_contents( STDIN ), true, 16, JSON_THROW_ON_ERROR );
		$f = $e['data']['fields'];
		echo json_encode( array( '9223372036854775807' === $e['data']['ticket'], 1764000000123456 === $e['data']['revision'],
			'9007199254740993' === $f['customer_id'], 0 === $f['assigned_to'], 9007199254740991 === $f['priority'],
			'-9007199254740992' === $f['rank'], '{"a":1}' === $f['like_json'], '5' === $f['like_a_number'], '' === $f['empty'],
			"a\0b" === $f['nul'], "a\u{FFFD}b" === $f['no_utf8'], array_key_exists( 'none', $f ) && null === $f['none'] ) );`)
	cmd.Stdin = bytes.NewReader(cloudevent.NewEncoder("main", false, integer).Encode(&e))
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Contains(string(out), "false") || strings.Count(string(out), "true") != 12 {
		t.Errorf("PHP answers %s (%v)", out, err)
	}
}

// checkEvent holds an event against CloudEvents 1.0: section 3 of the specification, its JSON format and its JSON schema.
func checkEvent(t *testing.T, name string, body []byte) {
	t.Helper()
	if len(body) > 64<<10 {
		t.Errorf("%s has %d bytes", name, len(body))
	}
	var event map[string]any
	if err := json.Unmarshal(body, &event); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	for _, attribute := range []string{"id", "source", "specversion", "type"} {
		if text, ok := event[attribute].(string); !ok || text == "" {
			t.Errorf("%s: %s is %v", name, attribute, event[attribute])
		}
	}
	attributeName := regexp.MustCompile(`^[a-z0-9]{1,20}$`)
	for _, attribute := range slices.Sorted(maps.Keys(event)) {
		if attribute == "data" {
			continue
		}
		text, ok := event[attribute].(string)
		if !ok || text == "" || !attributeName.MatchString(attribute) {
			t.Errorf("%s: the attribute %s is %v", name, attribute, event[attribute])
		}
		switch attribute {
		case "time", "recordedtime":
			if _, err := time.Parse(time.RFC3339Nano, text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case "source":
			if _, err := url.Parse(text); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		case "specversion":
			if text != "1.0" {
				t.Errorf("%s: specversion is %s", name, text)
			}
		default:
		}
	}
	if _, ok := event["data"].(map[string]any); !ok {
		t.Errorf("%s: data is %v", name, event["data"])
	}
}
