package mysql

import (
	"strconv"

	"github.com/ticketd/ticketd/internal/ticket"
	"github.com/ticketd/ticketd/sync/table"
)

// argument is what the driver is given for a value of the column.
func argument(c *table.Column, v ticket.Value) any {
	if v.IsNull() {
		return nil
	}
	switch c.Kind {
	case table.Bit: // a text would be taken for its bytes
		n, err := strconv.ParseUint(v.Text(), 10, 64)
		if err != nil {
			return v.Text()
		}
		return n
	case table.Binary, table.Varbinary, table.Blob:
		return []byte(v.Text()) // marked as binary by the driver, so that it need not be UTF-8
	default:
		return v.Text()
	}
}

const (
	rowOverhead   = len("(,),") + 2*20 // two numbers: key and revision
	valueOverhead = len("_binary'',")
)

// sizeOf returns how many bytes the values of one row take at most in a statement, escapes included.
func sizeOf(values []any) int {
	size := rowOverhead
	for _, v := range values {
		size += valueOverhead
		switch v := v.(type) {
		case string:
			size += escapedSize(v)
		case []byte:
			size += escapedSize(v)
		case uint64:
			size += 20
		}
	}
	return size
}

func escapedSize[T string | []byte](s T) int {
	size := len(s)
	for i := range len(s) {
		switch s[i] {
		case 0, '\n', '\r', 0x1a, '\'', '"', '\\':
			size++
		}
	}
	return size
}
