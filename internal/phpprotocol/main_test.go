package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ticketd/ticketd/protocol"
)

const file = "../../php-client/ticketd/src/Client/Protocol.php"

func TestFileIsFresh(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	if err := write(&want); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is old, run make php-protocol", file)
	}
}

// The patterns equal the code's checks, for every byte at the beginning, after it and at the end of the longest name.
func TestPatternsSayWhatIsChecked(t *testing.T) {
	t.Parallel()
	pattern := func(php string) *regexp.Regexp {
		return regexp.MustCompile(strings.TrimSuffix(strings.TrimPrefix(php, "/"), "/D"))
	}
	name, requestID := pattern(fmt.Sprintf(namePattern, protocol.MaxName-1)), pattern(requestIDPattern)
	for b := range 256 {
		one := string([]byte{byte(b)})
		for _, before := range []int{0, 1, protocol.MaxName - 1, protocol.MaxName} {
			text := strings.Repeat("a", before) + one
			if got, want := name.MatchString(text), protocol.ValidName(text); got != want {
				t.Errorf("the pattern of names takes %q: %v, the code: %v", text, got, want)
			}
		}
		for _, text := range []string{one, "a" + one} {
			if got, want := requestID.MatchString(text), taken(t, text); got != want {
				t.Errorf("the pattern of request ids takes %q: %v, the daemon: %v", text, got, want)
			}
		}
	}
}

// taken says whether the daemon takes a request id.
func taken(t *testing.T, requestID string) bool {
	t.Helper()
	var e protocol.Encoder
	frame, err := e.Request(1, protocol.MethodDelete, &protocol.DeleteParams{Change: protocol.Change{RequestID: requestID}, ID: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := protocol.DecodeRequest(frame[protocol.HeaderBytes:])
	if err != nil {
		t.Fatal(err)
	}
	return new(protocol.DeleteParams).Decode(r.Params) == nil
}
