package link

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"syscall"

	"github.com/ticketd/ticketd/store"
)

// go-redis makes room for as many elements or bytes as the head of a reply announces, before the first of them has come. A broken
// server, or another program at Redis' address, could so end the daemon with a dozen bytes. So each connection reads the heads of
// replies first (https://redis.io/docs/latest/develop/reference/protocol-spec/) and ends at a head beyond these bounds.
const (
	// maxBulk bounds the bytes of a value: Redis' own proto-max-bulk-len.
	maxBulk = 512 << 20
	// maxElements bounds the elements of a reply that are announced and have not come, in all arrays of the reply together. The
	// list of a site's dirty tickets is such an array.
	maxElements = 1 << 24
	// maxNesting bounds the arrays that lie in each other.
	maxNesting = 32
)

// errHead is the error for the head of a reply that no Redis sends.
var errHead = fmt.Errorf("the server is no Redis: %w", store.ErrUnavailable)

// rawReplies is replies over a socket.
type rawReplies struct {
	*replies
	syscall.Conn
}

// replies is a connection with bounded replies.
type replies struct {
	net.Conn

	head   []byte // of a line that has not come whole
	skip   int64  // bytes of a value, with its end of line, that have not come
	levels []level
	total  int64 // elements that have not come
}

// level is an array that has not come whole.
type level struct {
	left int64
	// attribute says that the array stands before an element, and is no element.
	attribute bool
}

// Read implements [net.Conn].
func (r *replies) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	if wrong := r.scan(b[:n]); wrong != nil {
		return 0, wrong
	}
	return n, err
}

// scan follows the replies.
func (r *replies) scan(b []byte) error {
	const longest = 32 // of a line that announces elements or bytes
	for len(b) > 0 {
		if r.skip > 0 {
			n := min(r.skip, int64(len(b)))
			if r.skip, b = r.skip-n, b[n:]; r.skip == 0 {
				r.came()
			}
			continue
		}
		line, rest, whole := bytes.Cut(b, []byte{'\n'})
		if room := longest - len(r.head); room > 0 {
			r.head = append(r.head, line[:min(room, len(line))]...)
		}
		if !whole {
			return nil
		}
		if err := r.open(bytes.TrimSuffix(r.head, []byte{'\r'})); err != nil {
			return err
		}
		r.head, b = r.head[:0], rest
	}
	return nil
}

// open reads a line: an element, or the head of elements that follow.
func (r *replies) open(line []byte) error {
	if len(line) == 0 || !strings.ContainsRune("$=!*~>%|", rune(line[0])) {
		r.came()
		return nil
	}
	n, err := strconv.ParseInt(string(line[1:]), 10, 64)
	if err != nil {
		return fmt.Errorf("%w: a reply begins with %q", errHead, line)
	}
	switch kind := line[0]; {
	case n < 0, n == 0 && strings.ContainsRune("*~>%", rune(kind)):
		r.came()
	case strings.ContainsRune("$=!", rune(kind)):
		if n > maxBulk {
			return fmt.Errorf("%w: a reply announces a value of %d bytes", errHead, n)
		}
		r.skip = n + int64(len("\r\n"))
	case n > 0:
		if n > maxElements || r.total > maxElements || len(r.levels) >= maxNesting {
			return fmt.Errorf("%w: a reply announces %d elements, inside %d incomplete arrays", errHead, n, len(r.levels))
		}
		if kind == '%' || kind == '|' {
			n *= 2
		}
		r.levels, r.total = append(r.levels, level{n, kind == '|'}), r.total+n
	}
	return nil
}

// came notes that an element has come whole, and ends the arrays of which the element is the last.
func (r *replies) came() {
	for last := len(r.levels) - 1; last >= 0; last-- {
		top := &r.levels[last]
		r.total--
		if top.left--; top.left > 0 {
			return
		}
		attribute := top.attribute
		r.levels = r.levels[:last]
		if attribute {
			return
		}
	}
}
