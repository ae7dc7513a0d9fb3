package table

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// checkOther judges the types that few tables have.
func (c *Column) checkOther(v ticket.Value) (ticket.Value, error) {
	switch c.Kind {
	case UUID:
		return c.checkUUID(v)
	case INET4, INET6:
		return c.checkAddress(v)
	case Opaque:
		return c.refuse(RuleEncoding, "the column holds no text, and can be read and not be set")
	default:
		return c.checkEncoding(v)
	}
}

// hyphens are where those of a UUID stand.
var hyphens = []int{8, 13, 18, 23}

const uuidDigits = 32

// checkUUID judges UUID: 32 hexadecimal digits, with the four hyphens or without any. It is read back in lower case with them.
func (c *Column) checkUUID(v ticket.Value) (ticket.Value, error) {
	digits := v.Text()
	if len(digits) == uuidDigits+len(hyphens) {
		for _, at := range slices.Backward(hyphens) {
			if digits[at] == '-' {
				digits = digits[:at] + digits[at+1:]
			}
		}
	}
	if len(digits) != uuidDigits || strings.Trim(digits, "0123456789abcdefABCDEF") != "" {
		return c.refuse(RuleFormat, "not a UUID")
	}
	digits = strings.ToLower(digits)
	return ticket.Text(digits[:8] + "-" + digits[8:12] + "-" + digits[12:16] + "-" + digits[16:20] + "-" + digits[20:]), nil
}

// checkAddress judges INET4 and INET6. Neither takes an address of the other kind, nor a zone.
func (c *Column) checkAddress(v ticket.Value) (ticket.Value, error) {
	address, err := netip.ParseAddr(v.Text())
	switch {
	case err != nil || address.Is4() != (c.Kind == INET4) || address.Zone() != "":
		return c.refuse(RuleFormat, "not an address as %s takes it", strings.ToUpper(string(c.Kind)))
	case c.Kind == INET4:
		return ticket.Text(address.String()), nil
	default:
		return ticket.Text(inet6(address.As16())), nil
	}
}

// inet6 writes an address as MariaDB does: the first of the longest runs of zeros, be it a single one, is "::", and an address
// that holds one of IPv4 ends in that.
func inet6(b [16]byte) string {
	const words = 8
	word := func(i int) uint64 { return uint64(b[2*i])<<8 | uint64(b[2*i+1]) }
	at, length := -1, 0
	for i := range words {
		n := 0
		for i+n < words && word(i+n) == 0 {
			n++
		}
		if n > length {
			at, length = i, n
		}
	}
	var text strings.Builder
	for i := 0; i < words; i++ {
		switch {
		case i == at:
			text.WriteString("::")
			i += length - 1
			continue
		case i == 6 && at == 0 && (length == 6 || length == 5 && word(5) == 0xffff):
			if length == 5 {
				text.WriteByte(':')
			}
			text.WriteString(netip.AddrFrom4([4]byte(b[12:])).String())
			return text.String()
		case i > 0 && i != at+length:
			text.WriteByte(':')
		}
		text.WriteString(strconv.FormatUint(word(i), 16))
	}
	return text.String()
}
