package phpcodec

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"testing"
	"time"
)

// life is how many questions a PHP process answers: the extension never frees an array that is a map's key, which no daemon
// sends.
const life = 10_000

// patience bounds an answer of PHP, on a machine with other work.
const patience = 20 * time.Second

// worker is a PHP process that decodes and encodes until stopped. It is for a single goroutine.
type worker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    io.Reader
	stderr bytes.Buffer
	asked  int
}

// outcome is the result of a codec for a question.
type outcome struct {
	text       string // "=" and a dump of the value or the bytes, "!" and the class of the refusal
	complaints string // PHP's warnings, and objects that were made
	peak       int64  // bytes of memory
	kept       int64  // bytes that were not freed
	took       time.Duration
}

func (o *outcome) refused() bool { return o.text == `!Ticketd\Client\ProtocolException` }

// startWorker starts PHP, which ends with the test.
func startWorker(tb testing.TB) *worker {
	tb.Helper()
	w := &worker{}
	if err := w.start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := w.stop(); err != nil {
			tb.Error(err)
		}
	})
	return w
}

func (w *worker) start() (err error) {
	w.cmd = exec.CommandContext(context.Background(), "php", "-d", "memory_limit=256M", "-d", "display_errors=stderr", "-d",
		"error_reporting=-1",
		"testdata/worker.php", "../../php-client/ticketd/src/autoload.php")
	w.stderr.Reset()
	w.cmd.Stderr, w.asked = &w.stderr, 0
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return err
	}
	if w.out, err = w.cmd.StdoutPipe(); err != nil {
		return err
	}
	return w.cmd.Start()
}

func (w *worker) stop() error {
	_ = w.in.Close()
	err := w.cmd.Wait()
	if w.stderr.Len() > 0 {
		err = errors.Join(err, errors.New(w.stderr.String()))
	}
	if err != nil {
		return fmt.Errorf("PHP: %w", err)
	}
	return nil
}

// decode asks the two codecs for the value of a payload.
func (w *worker) decode(payload []byte) (php, extension outcome, err error) {
	return w.ask('d', payload)
}

// read lets the client read a payload, as an answer and as a file of the spool, with each codec.
func (w *worker) read(payload []byte) (php, extension outcome, err error) { return w.ask('r', payload) }

// encode asks the two codecs for the payload of a request.
func (w *worker) encode(id uint32, method string, params *array) (php, extension outcome, err error) {
	call := newArray(int64(id), method, params)
	return w.ask('e', serialize(nil, call))
}

// ask returns the answers of the codec in PHP and of the codec on the extension.
func (w *worker) ask(what byte, data []byte) (php, extension outcome, err error) {
	if w.asked++; w.asked > life {
		if err := errors.Join(w.stop(), w.start()); err != nil {
			return php, extension, err
		}
	}
	hang := time.AfterFunc(patience, func() { _ = w.cmd.Process.Kill() })
	defer hang.Stop()
	question := append([]byte{what}, binary.BigEndian.AppendUint32(nil, uint32(len(data)))...)
	if _, err = w.in.Write(append(question, data...)); err == nil {
		if php, err = w.outcome(); err == nil {
			extension, err = w.outcome()
		}
	}
	if err != nil {
		err = fmt.Errorf("PHP died, or took longer than %v: %w\n%w", patience, err, w.stop())
	}
	return php, extension, err
}

func (w *worker) outcome() (o outcome, err error) {
	var texts [5]string
	for i := range texts {
		var length [4]byte
		if _, err := io.ReadFull(w.out, length[:]); err != nil {
			return o, err
		}
		text := make([]byte, binary.BigEndian.Uint32(length[:]))
		if _, err := io.ReadFull(w.out, text); err != nil {
			return o, err
		}
		texts[i] = string(text)
	}
	var numbers [3]int64
	for i := range numbers {
		if numbers[i], err = strconv.ParseInt(texts[i+2], 10, 64); err != nil {
			return o, err
		}
	}
	return outcome{texts[0], texts[1], numbers[0], numbers[1], time.Duration(numbers[2])}, nil
}
