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

// TestCodecsAgree tries the messages of so many seeds, always the same ones: a few seconds' worth.
func TestCodecsAgree(t *testing.T) {
	t.Parallel()
	const seeds = 1000
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

// FuzzPayload decodes anything with all codecs.
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

// golden reads the payload of one golden frame.
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
