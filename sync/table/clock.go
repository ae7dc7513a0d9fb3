package table

import (
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// longestTime is the limit of TIME on both sides of zero; a fraction may follow it.
const longestTime = 838*time.Hour + 59*time.Minute + 60*time.Second - time.Nanosecond

// checkTime judges TIME: [-]hhh:mm[:ss[.fraction]], a length of time as much as a time of day.
func (c *Column) checkTime(v ticket.Value) (ticket.Value, error) {
	text, negative := strings.CutPrefix(strings.Trim(v.Text(), spaces), "-")
	length, ok := parseLength(text)
	if !ok {
		return c.refuse(RuleDate, "not a time; write it as hh:mm:ss")
	}
	if length > longestTime {
		return c.refuse(RuleRange, "out of range; the column takes -838:59:59 to 838:59:59")
	}
	length = length.Truncate(fractionUnit(c.Digits))
	var room [len("-838:59:59.000000")]byte
	b := room[:0]
	if negative && length > 0 {
		b = append(b, '-')
	}
	if length < 10*time.Hour {
		b = append(b, '0')
	}
	b = strconv.AppendInt(b, int64(length/time.Hour), 10)
	form := ":04:05.000000"[:len(":04:05")]
	if c.Digits > 0 {
		form = ":04:05.000000"[:len(":04:05.")+c.Digits]
	}
	// From the minutes on, a length reads like a time of day.
	b = time.Unix(0, 0).UTC().Add(length%time.Hour).AppendFormat(b, form)
	if string(b) == v.Text() {
		return v, nil
	}
	return ticket.Text(string(b)), nil
}

// parseLength reads hhh:mm[:ss[.fraction]].
func parseLength(s string) (time.Duration, bool) {
	hours, s, ok := number(s, 1, 3)
	minutes, s, ok2 := numberAfter(s, ':', 59)
	if !ok || !ok2 {
		return 0, false
	}
	seconds, nanos := 0, 0
	if s != "" {
		if seconds, s, ok = numberAfter(s, ':', 59); ok && s != "" && s[0] == '.' {
			nanos, s = fraction(s[1:])
		}
	}
	length := time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute +
		time.Duration(seconds)*time.Second + time.Duration(nanos)
	return length, ok && s == ""
}

// fractionUnit is the shortest time that a column with these digits of a second can tell.
func fractionUnit(digits int) time.Duration {
	unit := time.Second
	for range digits {
		unit /= 10
	}
	return unit
}

// checkYear judges YEAR: 1901 to 2155 or 0000; one and two digits mean 1970 to 2069.
func (c *Column) checkYear(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	n, ok := parseNumeral(s)
	if !ok {
		return c.refuse(RuleNumber, "not a year")
	}
	if s == "0000" {
		return v, nil
	}
	const longest = 4
	year := -1
	if n.point <= longest && !n.negative {
		text, _ := n.round(0)
		year, _ = strconv.Atoi(text)
	}
	switch {
	case year >= 0 && year < 70:
		year += 2000
	case year >= 70 && year < 100:
		year += 1900
	}
	if year < 1901 || year > 2155 {
		return c.refuse(RuleRange, "out of range; the column takes 1901 to 2155")
	}
	text := strconv.Itoa(year)
	if text == s {
		return v, nil
	}
	return ticket.Text(text), nil
}
