package logs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// Who reads the log decides its form: only a terminal gets colours, systemd's journal gets priorities and no time, and a program
// gets JSON unless told otherwise. Durations have units in all of them.
func TestTheReaderDecidesTheForm(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o            Options
		json, colour bool
		lines        []string // their beginnings
	}{
		"pipe":           {o: Options{Format: "auto"}, json: true},
		"pipe, readable": {o: Options{Format: "console"}},
		"journal":        {o: Options{Format: "auto", Journal: true}, lines: []string{"<3>no answer", "<3>at all", "<6>back"}},
		"journal as JSON": {
			o: Options{Format: "json", Journal: true}, json: true, lines: []string{`<3>{"level":"error"`, `<6>{"level":"info"`},
		},
		"terminal":       {o: Options{Format: "auto", Terminal: true}, colour: true},
		"JSON by choice": {o: Options{Format: "json", Terminal: true}, json: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c.o.Out = &out
			log := New(c.o)
			log.Error().Err(errors.New("refused")).Msg("no answer\nat all")
			log.Info().Dur("away", 1500*time.Millisecond).Msg("back")
			text := out.String()
			if strings.Contains(text, `"level":`) != c.json || strings.Contains(text, "\x1b[") != c.colour {
				t.Errorf("want JSON %v, colours %v:\n%s", c.json, c.colour, text)
			}
			if !strings.Contains(text, "1.5s") || !strings.Contains(text, "refused") {
				t.Errorf("the fields lack a unit or a value:\n%s", text)
			}
			if got := strings.Split(strings.TrimSpace(text), "\n"); c.lines != nil {
				for i, want := range c.lines {
					if i >= len(got) || !strings.HasPrefix(got[i], want) {
						t.Errorf("line %d does not begin with %s:\n%s", i, want, text)
					}
				}
			}
		})
	}
}

func TestPriorities(t *testing.T) {
	t.Parallel()
	for level, want := range map[zerolog.Level]string{
		zerolog.FatalLevel: "<2>x\n", zerolog.ErrorLevel: "<3>x\n", zerolog.WarnLevel: "<4>x\n", zerolog.InfoLevel: "<6>x\n",
		zerolog.DebugLevel: "<7>x\n",
	} {
		if got := Prioritized(level, "x\n"); got != want {
			t.Errorf("%s: %q, want %q", level, got, want)
		}
	}
}

// systemd names the file that its journal reads; another file, as after a redirection in a unit, is not the journal.
func TestTheJournalsFile(t *testing.T) { //nolint:paralleltest // it sets the environment
	file, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	info, err := file.Stat()
	if err != nil {
		t.Fatal(err)
	}
	stat, _ := info.Sys().(*syscall.Stat_t)
	for stream, want := range map[string]bool{
		fmt.Sprintf("%d:%d", stat.Dev, stat.Ino): true, fmt.Sprintf("%d:%d", stat.Dev, stat.Ino+1): false, "": false,
	} {
		t.Setenv("JOURNAL_STREAM", stream)
		if got := InJournal(file); got != want {
			t.Errorf("JOURNAL_STREAM=%s: %v", stream, got)
		}
	}
}
