package protocol

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden frames in testdata from the table in golden_cases_test.go")

const goldenDir = "testdata"

// goldenEntry is a line of golden.json, which the tests of every client read.
type goldenEntry struct {
	Name string `json:"name"`
	// Kind is request, reply or progress.
	Kind string `json:"kind"`
	// File holds the whole frame in hex; lines that begin with # are comments.
	File string `json:"file"`
	// Value is the payload, maps in the order of the wire.
	Value json.RawMessage `json:"value"`
	// Canonical marks frames that a client with the shortest formats produces from Value, byte for byte. Frames with an empty
	// map are not canonical: some languages can only write an empty array.
	Canonical bool `json:"canonical"`
}

// TestMain rewrites the golden files before any test reads the files.
func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		if err := rewriteGolden(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	goleak.VerifyTestMain(m)
}

func TestGoldenFilesAreCurrent(t *testing.T) {
	t.Parallel()
	want, err := goldenFiles()
	if err != nil {
		t.Fatal(err)
	}
	compareGolden(t, want)
}

// goldenFiles returns the expected content of testdata, by file name.
func goldenFiles() (map[string][]byte, error) {
	files := map[string][]byte{}
	var index bytes.Buffer
	for i, c := range goldenCases() {
		file := c.name + ".hex"
		files[file] = hexFile(c)
		value, err := payloadJSON(c.frame[HeaderBytes:])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		line, err := json.Marshal(goldenEntry{
			Name: c.name, Kind: c.kind, File: file, Value: value, Canonical: c.canonical,
		})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		if i > 0 {
			index.WriteString(",\n")
		}
		index.Write(line)
	}
	files["golden.json"] = []byte("[\n" + index.String() + "\n]\n")
	return files, nil
}

func rewriteGolden() error {
	files, err := goldenFiles()
	if err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(goldenDir, "*.hex"))
	if err != nil {
		return err
	}
	for _, path := range old {
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(goldenDir, name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func compareGolden(t *testing.T, want map[string][]byte) {
	t.Helper()
	for name, content := range want {
		got, err := os.ReadFile(filepath.Join(goldenDir, name))
		if err != nil {
			t.Errorf("%v; run go test ./protocol -update", err)
			continue
		}
		if !bytes.Equal(got, content) {
			t.Errorf("%s differs from what the encoder writes; if that is meant, run go test ./protocol -update", name)
		}
	}
	files, err := filepath.Glob(filepath.Join(goldenDir, "*.hex"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		if _, ok := want[filepath.Base(path)]; !ok {
			t.Errorf("%s is in no golden case", path)
		}
	}
}

// TestGoldenFrames reads every golden file back: the value must come out as the table says.
func TestGoldenFrames(t *testing.T) {
	t.Parallel()
	for _, c := range goldenCases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			payload, err := ReadFrame(bytes.NewReader(readGolden(t, c.name)), nil)
			if err != nil {
				t.Fatal(err)
			}
			got, err := c.decode(payload)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, c.want) {
				t.Errorf("decoded\n%+v\nwant\n%+v", got, c.want)
			}
		})
	}
}

// TestGoldenCoversEverything fails where a method or an error code has no golden frame.
func TestGoldenCoversEverything(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for _, c := range goldenCases() {
		names[c.name] = true
	}
	for _, m := range []Method{
		MethodPing, MethodCreate, MethodSet, MethodSetMany, MethodCheck, MethodGet, MethodGetMany, MethodList, MethodCount,
		MethodDelete, MethodFlush, MethodDeadList, MethodDeadRetry, MethodDeadDrop, MethodStatus,
		MethodHistory, MethodEraseHistory, MethodFeedStatus, MethodFeedControl, MethodFeedDeadList, MethodFeedDeadRetry,
		MethodFeedDeadDrop,
		MethodWaiting, MethodDescribe, MethodFeedRead, MethodFeedAck,
	} {
		for _, kind := range []string{"request", "reply"} {
			if name := kind + "-" + string(m); !names[name] {
				t.Errorf("no golden frame %s", name)
			}
		}
	}
	for code := range traits {
		if name := "error-" + string(code); !names[name] {
			t.Errorf("no golden frame %s", name)
		}
	}
}

func hexFile(c goldenCase) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s\n", c.about)
	digits := hex.EncodeToString(c.frame)
	for len(digits) > 0 {
		n := min(len(digits), 96)
		b.WriteString(digits[:n] + "\n")
		digits = digits[n:]
	}
	return b.Bytes()
}

func readGolden(tb testing.TB, name string) []byte {
	tb.Helper()
	content, err := os.ReadFile(filepath.Join(goldenDir, name+".hex"))
	if err != nil {
		tb.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(content)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.TrimSpace(line))
		}
	}
	frame, err := hex.DecodeString(digits.String())
	if err != nil {
		tb.Fatal(err)
	}
	return frame
}
