package logs

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// A flood becomes a few lines, and no event is left out silently.
func TestRepeatsAreBoundedAndCounted(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Unix(1, 0)
	log := limited(zerolog.New(&out), &limit{burst: 2, period: time.Second, now: func() time.Time { return now }})
	for range 10 {
		log.Error().Msg("again")
	}
	if n := strings.Count(out.String(), "again"); n != 2 {
		t.Fatalf("%d lines, want 2:\n%s", n, &out)
	}
	now = now.Add(time.Second)
	out.Reset()
	log.Error().Msg("again")
	log.Error().Msg("again")
	if text := out.String(); strings.Count(text, "again") != 2 || strings.Count(text, `"suppressed":8`) != 1 {
		t.Errorf("want two lines, the first with what was suppressed:\n%s", text)
	}
}

func TestAQuietLogSaysAll(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := Limited(zerolog.New(&out), 1, time.Hour)
	log.Warn().Msg("once")
	if text := out.String(); !strings.Contains(text, "once") || strings.Contains(text, "suppressed") {
		t.Error(text)
	}
}
