package phpcodec

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestCodecsAgree tries the messages of a fixed set of seeds, for a few seconds.
func TestCodecsAgree(t *testing.T) {
	t.Parallel()
	const seeds = 250
	w := startWorker(t)
	for seed := range uint64(seeds) {
		requireSeed(t, w, seed)
	}
}

// FuzzMessages tries the messages that other seeds make.
func FuzzMessages(f *testing.F) {
	f.Add(uint64(1))
	w := startWorker(f)
	f.Fuzz(func(t *testing.T, seed uint64) { requireSeed(t, w, seed) })
}

// FuzzPayload decodes any input with all codecs.
func FuzzPayload(f *testing.F) {
	files, err := filepath.Glob("../../protocol/testdata/*.hex")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden frames: %v", err)
	}
	for _, file := range files {
		f.Add(golden(f, file))
	}
	g := newGenerator(1)
	for range 100 {
		f.Add([]byte("\x94\x01\x01\xc0" + g.bomb()))
	}
	f.Add([]byte("\x94\x00\x01\xa3set\x82\xa2id\x01\xa6fields\x81\xa1v\xca\x3d\xcc\xcc\xcd")) // 0.1 in 32 bits
	w := startWorker(f)
	f.Fuzz(func(t *testing.T, payload []byte) { requireAgreement(t, w, payload) })
}

// FuzzReaders lets the plugin's client read any input, as an answer and as a file in the spool: the client accepts or refuses
// it, without a warning, and with the same result from the two codecs.
func FuzzReaders(f *testing.F) {
	files, err := filepath.Glob("../../protocol/testdata/*.hex")
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden frames: %v", err)
	}
	for _, file := range files {
		f.Add(golden(f, file))
	}
	for _, payload := range []string{
		"\x84\x00\x01\x02\xc0\x03\x81\xa8revision\x05\x04\x05", "\x84\x00\x01\x01\x07\x03\x80\x05\xc0",
		"\x94\x01\x01\x81\xa4code\x91\x01\xc0",
		"\x94\x01\x01\xc0\x81\xa6groups\x91\x92\x90\x01", "\x94\x01\x01\xc0\x81\xa7letters\x92\xa6reason\x05",
		"\x94\x01\x01\xc0\x81\xa7tickets\x92\x01\xa1x",
		"\x94\x00\x01\xa6create\x84\xa2id\x07\xa4site\x91\x01\xaarequest_id\x90\xa6fields\x81\xa1a\x91\x01",
		"\x94\x00\x01\xa3set\x82\xa2id\x07\xa6fields\x05", "\x94\x00\x01\xa3set\x82\xa2id\x07\xa6fields\x81\xa1a\x81\xa1b\x01",
	} {
		f.Add([]byte(payload))
	}
	w := startWorker(f)
	f.Fuzz(func(t *testing.T, payload []byte) { requireRead(t, w, payload) })
}

// golden reads the payload of a golden frame.
func golden(tb testing.TB, file string) []byte {
	tb.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.TrimSpace(line))
		}
	}
	frame, err := hex.DecodeString(strings.ReplaceAll(digits.String(), " ", ""))
	if err != nil {
		tb.Fatalf("%s: %v", file, err)
	}
	return frame[4:]
}
