package protocol

import (
	"testing"
	"unicode/utf8"
)

// A value that is not UTF-8 travels from the daemon as bin and comes back unchanged; a text stays a str. The daemon refuses
// such a value.
func TestBytesThatAreNoText(t *testing.T) {
	t.Parallel()
	const address = "\xc0\xa8\x00\x01"
	sent := &Ticket{ID: 1, Revision: 2, Fields: []Field{{Name: "ip", Value: Text(address)}, {Name: "subject", Value: Text("né")}}}
	encoder := &Encoder{}
	frame, err := encoder.Reply(7, sent)
	if err != nil {
		t.Fatal(err)
	}
	for at := range frame {
		if frame[at] == 0xc4 && at+5 < len(frame) && string(frame[at+2:at+6]) == address {
			break
		}
		if at == len(frame)-1 {
			t.Errorf("the frame %x has no bin of the bytes", frame)
		}
	}
	answer, err := DecodeAnswer(frame[HeaderBytes:])
	if err != nil {
		t.Fatal(err)
	}
	var got Ticket
	if err := got.Decode(answer.Reply.Result); err != nil {
		t.Fatal(err)
	}
	if got.Fields[0].Value.Text() != address || got.Fields[1].Value.Text() != "né" {
		t.Errorf("fields %v", got.Fields)
	}
	got.CutTo(got.Bytes() - 2)
	if text := got.Fields[0].Value.Text(); !got.Cut || utf8.ValidString(text) && text != "" {
		t.Errorf("cut to %q", text)
	}
}
