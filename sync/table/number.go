package table

import (
	"math"
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// numeral is a decimal number as text writes it: 0.digits × 10^point.
type numeral struct {
	negative bool
	digits   string // without zeros at either end; empty for zero
	point    int
}

// spaces are the characters that the databases ignore around a number.
const spaces = " \t\n\v\f\r"

// maxExponent bounds exponents far above every column's range, so that no exponent overflows an int.
const maxExponent = 9999

// parseNumeral reads [sign] digits [. digits] [e exponent]; false where s is not such a number.
func parseNumeral(s string) (numeral, bool) {
	s = strings.Trim(s, spaces)
	var n numeral
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n.negative, s = s[0] == '-', s[1:]
	}
	whole, s := leadingDigits(s)
	fraction := ""
	if s != "" && s[0] == '.' {
		fraction, s = leadingDigits(s[1:])
	}
	if whole == "" && fraction == "" {
		return n, false
	}
	exponent := 0
	if s != "" {
		var ok bool
		if exponent, ok = parseExponent(s); !ok {
			return n, false
		}
	}
	n.point = len(whole) + exponent
	n.digits = whole + fraction
	significant := strings.TrimLeft(n.digits, "0")
	n.point -= len(n.digits) - len(significant)
	n.digits = strings.TrimRight(significant, "0")
	if n.digits == "" {
		return numeral{}, true
	}
	return n, true
}

// parseExponent reads "e" and a number with an optional sign, clamped to ±maxExponent.
func parseExponent(s string) (int, bool) {
	if s[0] != 'e' && s[0] != 'E' {
		return 0, false
	}
	s, negative := s[1:], false
	if s != "" && (s[0] == '-' || s[0] == '+') {
		negative, s = s[0] == '-', s[1:]
	}
	digits, rest := leadingDigits(s)
	if digits == "" || rest != "" {
		return 0, false
	}
	e, err := strconv.Atoi(digits)
	if err != nil || e > maxExponent {
		e = maxExponent
	}
	if negative {
		e = -e
	}
	return e, true
}

func leadingDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// round writes the absolute number with scale digits after the point, rounded half away from zero as the databases do,
// and says how many digits stand before the point; leading zeros are not written, but for one before a fraction.
func (n numeral) round(scale int) (text string, wholeDigits int) {
	keep := max(n.point+scale, -1) // digits of the result, counted from the first significant one
	var b []byte
	switch {
	case keep < 0 || n.digits == "":
	case keep < len(n.digits):
		b = append(b, n.digits[:keep]...)
		if n.digits[keep] >= '5' {
			b = increment(b)
		}
	default:
		b = append(b, n.digits...)
		b = append(b, strings.Repeat("0", keep-len(n.digits))...)
	}
	if len(b) < scale+1 {
		b = append([]byte(strings.Repeat("0", scale+1-len(b))), b...)
	}
	wholeDigits = len(b) - scale
	if wholeDigits == 1 && b[0] == '0' {
		wholeDigits = 0
	}
	if scale == 0 {
		return string(b), wholeDigits
	}
	return string(b[:len(b)-scale]) + "." + string(b[len(b)-scale:]), wholeDigits
}

// increment adds 1 to a number of decimal digits.
func increment(b []byte) []byte {
	for i := len(b) - 1; i >= 0; i-- {
		if b[i] < '9' {
			b[i]++
			return b
		}
		b[i] = '0'
	}
	return append([]byte{'1'}, b...)
}

// checkInteger checks the integer types and BIT, which is also given as a number. It rounds fractions, as the databases do
// without an error.
func (c *Column) checkInteger(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	if plainInteger(s) && c.holds(s) {
		return v, nil
	}
	n, ok := parseNumeral(s)
	if !ok {
		return c.refuse(RuleNumber, "not a number")
	}
	text, digits := "", n.point
	if digits <= maxIntegerDigits {
		text, _ = n.round(0)
		if n.negative && text != "0" {
			text = "-" + text
		}
	}
	if digits > maxIntegerDigits || !c.holds(text) {
		low, high := c.bounds()
		return c.refuse(RuleRange, "out of range; the column takes %s to %s", low, high)
	}
	return ticket.Text(text), nil
}

// maxIntegerDigits is the length of 2^64-1.
const maxIntegerDigits = 20

// plainInteger says whether s is an integer as the databases write it.
func plainInteger(s string) bool {
	digits, rest := leadingDigits(strings.TrimPrefix(s, "-"))
	return rest == "" && digits != "" && (digits[0] != '0' || s == "0")
}

// holds says whether the integer, written without a leading zero, fits the column.
func (c *Column) holds(s string) bool {
	if c.Unsigned || c.Kind == Bit {
		_, err := strconv.ParseUint(s, 10, c.Bits)
		return err == nil
	}
	_, err := strconv.ParseInt(s, 10, c.Bits)
	return err == nil
}

func (c *Column) bounds() (low, high string) {
	if c.Unsigned || c.Kind == Bit {
		return "0", strconv.FormatUint(math.MaxUint64>>(64-c.Bits), 10)
	}
	return strconv.FormatInt(math.MinInt64>>(64-c.Bits), 10), strconv.FormatInt(math.MaxInt64>>(64-c.Bits), 10)
}

// checkDecimal checks DECIMAL. It rounds digits beyond the scale without an error; an unsigned column refuses every number below
// zero, including numbers that would be rounded to zero.
func (c *Column) checkDecimal(v ticket.Value) (ticket.Value, error) {
	n, ok := parseNumeral(v.Text())
	if !ok {
		return c.refuse(RuleNumber, "not a number")
	}
	if n.negative && c.Unsigned {
		return c.refuse(RuleRange, "below zero, and the column is unsigned")
	}
	tooLong := n.point > c.Precision-c.Scale
	text, whole := "", 0
	if !tooLong {
		text, whole = n.round(c.Scale)
	}
	if tooLong || whole > c.Precision-c.Scale {
		return c.refuse(RuleRange, "out of range; the column takes at most %d digits before the point", c.Precision-c.Scale)
	}
	if n.negative && strings.Trim(text, "0.") != "" {
		text = "-" + text
	}
	if c.ZeroFill {
		digits := max(c.Precision-c.Scale, 1) - strings.IndexByte(text+".", '.')
		text = strings.Repeat("0", max(digits, 0)) + text
	}
	if text == v.Text() {
		return v, nil
	}
	return ticket.Text(text), nil
}

// checkFloat checks FLOAT and DOUBLE, and rewrites the text in the form of [Column.FloatText].
func (c *Column) checkFloat(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	n, ok := parseNumeral(s)
	if !ok {
		return c.refuse(RuleNumber, "not a number")
	}
	if n.negative && c.Unsigned {
		return c.refuse(RuleRange, "below zero, and the column is unsigned")
	}
	trimmed := strings.Trim(s, spaces)
	// The database reads the text as a double, and refuses numbers beyond the largest FLOAT, including numbers that round to it.
	f, err := strconv.ParseFloat(trimmed, 64)
	if err == nil && c.Bits == 32 && math.Abs(f) > math.MaxFloat32 {
		err = strconv.ErrRange
	}
	if err == nil && c.Precision > 0 {
		limit := math.Pow10(c.Precision-c.Scale) - math.Pow10(-c.Scale)
		rounded, _ := n.round(c.Scale)
		if !withinLimit(rounded, limit) {
			err = strconv.ErrRange
		} else if f, err = strconv.ParseFloat(rounded, 64); n.negative {
			f = -f
		}
	}
	if err != nil {
		return c.refuse(RuleRange, "out of range for the column's type")
	}
	text := c.formatFloat(f)
	if text == s {
		return v, nil
	}
	return ticket.Text(text), nil
}

// FloatText rewrites the database's text of a FLOAT or DOUBLE in the form of accepted values: the shortest text of the same
// number in the column's width.
func (c *Column) FloatText(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return text
	}
	if c.Precision > 0 { // the check has rounded to the server's own number of digits
		if n, ok := parseNumeral(strconv.FormatFloat(math.Abs(f), 'f', -1, c.Bits)); ok {
			rounded, _ := n.round(c.Scale)
			if r, err := strconv.ParseFloat(rounded, 64); err == nil {
				f = math.Copysign(r, f)
			}
		}
	}
	return c.formatFloat(f)
}

// formatFloat writes a number as the column holds it. A database reads a double, for which the shortest text of the largest
// FLOAT is out of range.
func (c *Column) formatFloat(f float64) string {
	if c.Bits == 64 {
		return formatFloat(f, 64)
	}
	f = float64(float32(f))
	text := formatFloat(f, 32)
	if back, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(back) > math.MaxFloat32 {
		return formatFloat(f, 64)
	}
	return text
}

func withinLimit(number string, limit float64) bool {
	f, err := strconv.ParseFloat(number, 64)
	return err == nil && f <= limit
}

// formatFloat writes a float as the databases do: without an exponent from 1e-15 up to 1e15.
func formatFloat(f float64, bits int) string {
	if f == 0 {
		return "0"
	}
	if abs := math.Abs(f); abs >= 1e15 || abs < 1e-15 {
		mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, bits), "e")
		return mantissa + "e" + strings.Replace(strings.TrimPrefix(exponent, "+"), "-0", "-", 1)
	}
	return strconv.FormatFloat(f, 'f', -1, bits)
}
