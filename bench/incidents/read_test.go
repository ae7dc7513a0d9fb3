package incidents

import (
	"strings"
	"testing"
)

// header and line are the columns of a log that are read, and a line of the log, in a different order than in the file.
var (
	header = "incident_state,number,category,priority,assigned_to,caller_id,opened_at,sys_updated_at,u_symptom," +
		strings.Join(Extra, ",")
	line = "New,INC0000045,Category 55,3 - Moderate,?,Caller 2403,29-02-2016 01:16,29-02-2016 08:53,?,Phone,?" +
		strings.Repeat(",x", len(Extra)-2)
)

func TestRead(t *testing.T) {
	t.Parallel()
	updates, err := Read(strings.NewReader(header + "\n" + line + "\n" + strings.Replace(line, "New", "Closed", 1)))
	if err != nil || len(updates) != 2 {
		t.Fatalf("%d updates, %v", len(updates), err)
	}
	if updates[0].Ticket != 45 || len(updates[0].Fields) != len(Columns)+len(Extra) {
		t.Errorf("ticket %d with %d fields", updates[0].Ticket, len(updates[0].Fields))
	}
	for name, want := range map[string]string{
		"status": "New", "category": "Category 55", "customer_id": "2403", "created_at": "2016-02-29 01:16:00",
		"updated_at": "2016-02-29 08:53:00", "subject": "", "contact_type": "Phone",
		"assigned_to": "NULL", "location": "NULL",
	} {
		have := "NULL"
		if v := updates[0].Fields[name]; v != nil {
			have = *v
		}
		if have != want {
			t.Errorf("%s is %q, want %q", name, have, want)
		}
	}
	last := Last(updates)
	if len(last) != 1 || *last[45].Fields["status"] != "Closed" {
		t.Errorf("last updates: %v", last)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                  "header",
		"number,category\n": "no column",
		"category\n":        "no column number",
		header + "\nNew":    "wrong number of fields",
		header + "\n" + strings.Replace(line, "45", "?", 1):            "line 2: number",
		header + "\n" + strings.Replace(line, "INC0000045", "INC0", 1): "below 1",
		header + "\n" + strings.Replace(line, "29-02", "30-02", 1):     "line 2: opened_at",
		header + "\n" + strings.Replace(line, "2403", "x", 1):          "line 2: caller_id",
	} {
		if _, err := Read(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one about %q", text, err, want)
		}
	}
}
