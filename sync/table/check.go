package table

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ticketd/ticketd/internal/ticket"
)

// maxNameChars bounds the name of a field without a column, in characters: as long as a column's name may be.
const maxNameChars = 64

// deletedAt is the field that marks a deletion in ticketd's own table. The package rejects the field in tables without the
// column, too: there a deletion removes the row, and the field would be an extra field without a meaning.
const deletedAt = "deleted_at"

// Check rejects, with a [*FieldError], the first field that the table would refuse, and rewrites in place the values that the
// database would hold as another text. Check returns the fields for convenience; unchanged values need no allocation.
func (d *Definition) Check(fields ticket.Fields) (ticket.Fields, error) {
	for i := range fields {
		f := &fields[i]
		if f.Name != "" && f.Name == d.DeletedAt {
			return nil, &FieldError{Field: f.Name, Rule: RuleReserved, Reason: "it is the mark of a deletion: use delete"}
		}
		n, known := d.byField[f.Name]
		if !known || strings.HasPrefix(f.Name, "_") {
			if err := d.checkExtra(f); err != nil {
				return nil, err
			}
			continue
		}
		v, err := d.Columns[n].check(f.Value)
		if err != nil {
			return nil, err
		}
		f.Value = v
	}
	return fields, nil
}

// checkExtra checks a field without a column.
func (d *Definition) checkExtra(f *ticket.Field) error {
	refuse := func(rule Rule, reason string) error {
		return &FieldError{Field: f.Name, Rule: rule, Reason: reason}
	}
	switch {
	case strings.HasPrefix(f.Name, "_"):
		return refuse(RuleReserved, "names that begin with _ are reserved")
	case strings.EqualFold(f.Name, d.Key):
		return refuse(RuleReserved, "it is the ticket's id, which is not set as a field")
	case strings.EqualFold(f.Name, d.Revision):
		return refuse(RuleReserved, "it is the ticket's revision, which is not set as a field")
	case d.Extra != "" && strings.EqualFold(f.Name, d.Extra):
		return refuse(RuleReserved, "it is the column that holds fields without a column; set those by their names")
	case d.DeletedAt == "" && strings.EqualFold(f.Name, deletedAt):
		return refuse(RuleReserved, "it is the mark of a deletion: use delete")
	case d.Extra == "":
		return refuse(RuleUnknown, "the table "+d.Table+" has no such column")
	}
	if field, near := d.nearMiss(f.Name); near {
		return refuse(RuleUnknown, "no such field; did you mean "+field+"?")
	}
	if !utf8.ValidString(f.Name) || f.Name == "" || utf8.RuneCountInString(f.Name) > maxNameChars {
		return &FieldError{Rule: RuleFormat, Reason: "a field's name is 1 to 64 characters of UTF-8"}
	}
	if !utf8.ValidString(f.Value.Text()) {
		return refuse(RuleEncoding, "not valid UTF-8")
	}
	return nil
}

// check checks a value for the column and returns the value as the database will hold it.
func (c *Column) check(v ticket.Value) (ticket.Value, error) {
	if c.Generated {
		return c.refuse(RuleComputed, "the table computes this column itself")
	}
	if v.IsNull() {
		if !c.Nullable {
			return c.refuse(RuleNull, "NULL, and the column is NOT NULL")
		}
		return v, nil
	}
	switch c.Kind {
	case Integer, Bit:
		return c.checkInteger(v)
	case Decimal:
		return c.checkDecimal(v)
	case Float:
		return c.checkFloat(v)
	case Char, Varchar:
		return c.checkChars(v)
	case Text:
		return c.checkText(v)
	case Binary, Varbinary, Blob:
		return c.checkBytes(v)
	case Date, Datetime, Timestamp, Time, Year:
		return c.checkTemporal(v)
	case Enum, Set:
		return c.checkMembers(v)
	case JSON:
		return c.checkJSON(v)
	default:
		return c.checkOther(v)
	}
}

// nearMiss returns the field whose name differs from an unknown field's name only in case. Column names do not distinguish case
// but Redis does, so "Status" would become a second, silent status.
func (d *Definition) nearMiss(name string) (string, bool) {
	for i := range d.Columns {
		if strings.EqualFold(d.Columns[i].Field, name) {
			return d.Columns[i].Field, true
		}
	}
	return "", false
}

// refuse makes the error for a value that breaks a rule of the column.
func (c *Column) refuse(rule Rule, format string, args ...any) (ticket.Value, error) {
	return ticket.Null, &FieldError{Field: c.Field, Rule: rule, Reason: fmt.Sprintf(format, args...)}
}

// checkChars checks CHAR and VARCHAR, whose limit counts characters. The database cuts spaces beyond the limit without an error,
// also in strict mode; a read of CHAR drops all trailing spaces.
func (c *Column) checkChars(v ticket.Value) (ticket.Value, error) {
	if v, err := c.checkEncoding(v); err != nil {
		return v, err
	}
	s := v.Text()
	if c.Kind == Char && strings.HasSuffix(s, " ") {
		s = strings.TrimRight(s, " ")
		v = ticket.Text(s)
	}
	if len(s) <= c.MaxChars { // no string has more characters than bytes
		return v, nil
	}
	n := utf8.RuneCountInString(s)
	if n <= c.MaxChars {
		return v, nil
	}
	trimmed := strings.TrimRight(s, " ")
	if n-(len(s)-len(trimmed)) > c.MaxChars {
		return c.refuse(RuleLength, "%d characters; the column takes at most %d", n, c.MaxChars)
	}
	return ticket.Text(s[:len(s)-(n-c.MaxChars)]), nil
}

// checkText checks the TEXT types, whose limit counts bytes; the database cuts spaces beyond the limit.
func (c *Column) checkText(v ticket.Value) (ticket.Value, error) {
	if v, err := c.checkEncoding(v); err != nil {
		return v, err
	}
	s := v.Text()
	if len(s) <= c.MaxBytes {
		return v, nil
	}
	if c.Exact || len(strings.TrimRight(s, " ")) > c.MaxBytes {
		return c.refuse(RuleLength, "%d bytes; the column takes at most %d", len(s), c.MaxBytes)
	}
	return ticket.Text(s[:c.MaxBytes]), nil
}

// checkBytes checks the types without a character set. The database pads BINARY with zero bytes.
func (c *Column) checkBytes(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if len(s) > c.MaxBytes {
		return c.refuse(RuleLength, "%d bytes; the column takes at most %d", len(s), c.MaxBytes)
	}
	if c.Kind == Binary && len(s) < c.MaxBytes {
		return ticket.Text(s + strings.Repeat("\x00", c.MaxBytes-len(s))), nil
	}
	return v, nil
}

// checkEncoding rejects text that is not UTF-8 and characters that the column's character set lacks.
func (c *Column) checkEncoding(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if ascii(s) && (c.Characters == "" || c.has(0, utf8.RuneSelf-1)) {
		return v, nil
	}
	if !utf8.ValidString(s) {
		return c.refuse(RuleEncoding, "not valid UTF-8")
	}
	for _, r := range s {
		switch {
		case c.encodes(r):
		case r > 0xFFFF:
			return c.refuse(RuleEncoding,
				"holds a character of four bytes (such as an emoji), and the column's character set is %s", c.Charset)
		default:
			return c.refuse(RuleEncoding, "holds a character that the column's character set %s lacks", c.Charset)
		}
	}
	return v, nil
}

// encodes says whether the column's character set has a code for the character.
func (c *Column) encodes(r rune) bool {
	switch c.Charset {
	case "ascii":
		return r < utf8.RuneSelf
	case "utf8mb3", "utf8", "ucs2":
		return r <= 0xFFFF
	case "latin1":
		switch {
		case r > 0xFF:
			return strings.ContainsRune(windows1252, r)
		case 0x80 <= r && r < 0xA0:
			return strings.ContainsRune(controls1252, r)
		default:
			return true
		}
	default:
		return c.Characters == "" || c.has(r, r)
	}
}

// has says whether a single range of the column's characters holds all from first to last.
func (c *Column) has(first, last rune) bool {
	n := sort.Search(len(c.ranges)/2, func(i int) bool { return c.ranges[2*i+1] >= first })
	return 2*n < len(c.ranges) && c.ranges[2*n] <= first && last <= c.ranges[2*n+1]
}

// windows1252 are the characters above U+00FF of the databases' latin1, which is in truth Windows-1252.
const windows1252 = "€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ"

// controls1252 are the characters of latin1 from U+0080 to U+009F: the other codes of that range belong to windows1252.
const controls1252 = "\u0081\u008d\u008f\u0090\u009d"

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// checkJSON checks JSON columns, including MariaDB's, which are text with a json_valid constraint.
func (c *Column) checkJSON(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	switch {
	case !utf8.ValidString(s):
		return c.refuse(RuleEncoding, "not valid UTF-8")
	case !json.Valid([]byte(s)) || loneSurrogate(s):
		return c.refuse(RuleJSON, "not valid JSON")
	case nesting(s) > c.Depth:
		return c.refuse(RuleJSON, "nested too deeply; the column takes at most %d levels", c.Depth)
	}
	return v, nil
}

// nesting returns the depth of the arrays and objects of valid JSON.
func nesting(s string) int {
	deepest, depth, quoted := 0, 0, false
	for i := 0; i < len(s); i++ {
		switch b := s[i]; {
		case quoted && b == '\\':
			i++
		case b == '"':
			quoted = !quoted
		case quoted:
		case b == '[' || b == '{':
			depth++
			deepest = max(deepest, depth)
		case b == ']' || b == '}':
			depth--
		}
	}
	return deepest
}

// loneSurrogate finds half of a \u pair in valid JSON. RFC 8259 allows a lone half; the two databases refuse it.
func loneSurrogate(s string) bool {
	for {
		at := strings.IndexByte(s, '\\')
		if at < 0 {
			return false
		}
		s = s[at:]
		first, ok := escaped(s)
		if !ok || first < 0xD800 || first > 0xDFFF {
			s = s[2:]
			continue
		}
		second, ok := escaped(s[6:])
		if first > 0xDBFF || !ok || second < 0xDC00 || second > 0xDFFF {
			return true
		}
		s = s[12:]
	}
}

// escaped reads a \uXXXX at the beginning of s.
func escaped(s string) (uint64, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	n, err := strconv.ParseUint(s[2:6], 16, 16)
	return n, err == nil
}

// checkMembers checks the types whose values the table lists.
func (c *Column) checkMembers(v ticket.Value) (ticket.Value, error) {
	if c.Kind == Set {
		return c.checkSet(v)
	}
	return c.checkEnum(v)
}

// checkEnum checks ENUM: a member by its text or, if no member has that text, by its position from 1.
func (c *Column) checkEnum(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if i := c.member(s); i >= 0 {
		if c.Members[i] == s {
			return v, nil
		}
		return ticket.Text(c.Members[i]), nil
	}
	if n, err := strconv.ParseUint(s, 10, 16); err == nil && n >= 1 && int(n) <= len(c.Members) {
		return ticket.Text(c.Members[n-1]), nil
	}
	return c.refuse(RuleMember, "not a member of the column (it has %d members)", len(c.Members))
}

// checkSet checks SET: members separated by commas, which the database holds once each and in the table's order, or a number
// whose bits are the members.
func (c *Column) checkSet(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	var bits uint64
	same, last := true, -1
	for rest, more := s, s != ""; more; {
		var part string
		part, rest, more = strings.Cut(rest, ",")
		i := c.member(part)
		if i < 0 {
			n, err := strconv.ParseUint(s, 10, 64)
			if err != nil || n>>len(c.Members) != 0 {
				return c.refuse(RuleMember, "holds a value that is not a member of the column (it has %d members)", len(c.Members))
			}
			bits, same = n, false
			break
		}
		bits |= 1 << i
		same, last = same && i > last && c.Members[i] == part, i
	}
	if same {
		return v, nil
	}
	return ticket.Text(c.joined(bits)), nil
}

// joined writes the members of a SET whose bits are set.
func (c *Column) joined(bits uint64) string {
	var b strings.Builder
	for i, m := range c.Members {
		if bits&(1<<i) == 0 {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(m)
	}
	return b.String()
}

// member returns the position of the member that the database takes s for, or -1. Trailing spaces do not count.
func (c *Column) member(s string) int {
	for i, m := range c.Members {
		if m == s {
			return i
		}
	}
	s = strings.TrimRight(s, " ")
	for i, m := range c.Members {
		if m == s || c.FoldCase && strings.EqualFold(m, s) {
			return i
		}
	}
	return -1
}

// checkOther checks the rare types.
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

// hyphens are the positions of the hyphens of a UUID.
var hyphens = []int{8, 13, 18, 23}

const uuidDigits = 32

// checkUUID checks UUID: 32 hexadecimal digits, with all four hyphens or with no hyphen. A read returns lower case with hyphens.
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

// checkAddress checks INET4 and INET6. Each type rejects addresses of the other type, and zones.
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

// inet6 writes an address as MariaDB does: the first of the longest runs of zeros, even a single zero, is "::", and an address
// that holds an IPv4 address ends in that address.
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
