package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// Options of [New].
type Options struct {
	// Format is console (lines for people), json, or auto: lines for people on a terminal and in systemd's journal, else JSON.
	Format string
	// Terminal says that Out is a terminal: only a terminal gets colours.
	Terminal bool
	// Journal says that systemd's journal reads Out, see [InJournal]. The journal gets the priority of each line, and no time, as it
	// has its own.
	Journal bool
	Out     io.Writer
}

func init() { //nolint:gochecknoinits // zerolog has one format of durations for the process
	zerolog.DurationFieldFormat = zerolog.DurationFormatString // 1.5s, not a number whose unit the reader must know
}

// New makes the daemon's log.
func New(o Options) zerolog.Logger {
	json := o.Format == "json" || o.Format == "auto" && !o.Terminal && !o.Journal
	w := &lines{out: o.Out, journal: o.Journal}
	if !json {
		w.console = &zerolog.ConsoleWriter{Out: &w.text, NoColor: !o.Terminal, TimeFormat: time.DateTime}
		if o.Terminal {
			w.console.TimeFormat = time.TimeOnly
		}
		if o.Journal {
			w.console.PartsExclude = []string{zerolog.TimestampFieldName, zerolog.LevelFieldName}
		}
	}
	return zerolog.New(w).With().Timestamp().Logger()
}

// lines writes each event as a line, with its priority where systemd's journal reads the lines.
type lines struct {
	out     io.Writer
	journal bool

	mu      sync.Mutex
	text    bytes.Buffer
	console *zerolog.ConsoleWriter // writes to text; nil for JSON
}

// Write implements [io.Writer].
func (w *lines) Write(event []byte) (int, error) { return w.WriteLevel(zerolog.InfoLevel, event) }

// WriteLevel implements [zerolog.LevelWriter]: one write for each event.
func (w *lines) WriteLevel(level zerolog.Level, event []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Reset()
	if w.console == nil {
		w.text.Write(event)
	} else if _, err := w.console.Write(event); err != nil {
		return 0, err
	}
	text := w.text.Bytes()
	if w.journal {
		text = []byte(Prioritized(level, w.text.String()))
	}
	if _, err := w.out.Write(text); err != nil {
		return 0, err
	}
	return len(event), nil
}

// Prioritized puts syslog's priority before each line of a text, as sd-daemon(3) defines it.
func Prioritized(level zerolog.Level, text string) string {
	const critical, failure, warning, info, debug = 2, 3, 4, 6, 7
	priority := info
	switch level {
	case zerolog.PanicLevel, zerolog.FatalLevel:
		priority = critical
	case zerolog.ErrorLevel:
		priority = failure
	case zerolog.WarnLevel:
		priority = warning
	case zerolog.DebugLevel, zerolog.TraceLevel:
		priority = debug
	default:
	}
	mark := fmt.Sprintf("<%d>", priority)
	text = strings.TrimSuffix(text, "\n")
	return mark + strings.ReplaceAll(text, "\n", "\n"+mark) + "\n"
}

// InJournal tells whether systemd's journal reads a file: systemd names the file's device and inode.
func InJournal(file *os.File) bool {
	info, err := file.Stat()
	if err != nil {
		return false
	}
	stat, is := info.Sys().(*syscall.Stat_t)
	return is && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}
