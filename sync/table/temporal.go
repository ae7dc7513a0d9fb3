package table

import (
	"strconv"
	"strings"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// The forms in which the databases write dates and times.
const (
	dateForm     = "2006-01-02"
	datetimeForm = "2006-01-02 15:04:05"
)

// microDigits are the digits of a second's fraction that the databases can hold.
const microDigits = 6

// checkTemporal checks the types of dates and times.
func (c *Column) checkTemporal(v ticket.Value) (ticket.Value, error) {
	switch c.Kind {
	case Time:
		return c.checkTime(v)
	case Year:
		return c.checkYear(v)
	default:
		return c.checkDate(v)
	}
}

// checkDate checks DATE, DATETIME and TIMESTAMP: YYYY-MM-DD, then, after a space or T, hh[:mm[:ss[.fraction]]], then Z or an
// offset, which moves the time to UTC, the zone of all times in MySQL. A number is a Unix time, as PHP's time() returns it, see
// [parseUnix]. checkDate cuts a fraction that the column has no room for and does not round: the databases differ, and a cut
// time is never later than the given time.
func (c *Column) checkDate(v ticket.Value) (ticket.Value, error) {
	s := v.Text()
	t, ok := parseDate(s)
	if !ok {
		t, ok = parseUnix(s)
	}
	if !ok {
		return c.refuse(RuleDate, "not a date; write it as YYYY-MM-DD hh:mm:ss, with a month, a day and a time that exist, or as "+
			"seconds since 1970 in 9 to 11 digits")
	}
	if c.Kind == Timestamp {
		if at := t.Unix(); at < 1 || at > c.MaxUnix {
			return c.refuse(RuleRange, "out of range; the column takes 1970-01-01 00:00:01 to %s, UTC",
				time.Unix(c.MaxUnix, 0).UTC().Format(datetimeForm))
		}
	}
	var room [len(datetimeForm) + 1 + microDigits]byte
	if text := c.appendTime(room[:0], t); string(text) != s {
		return ticket.Text(string(text)), nil
	}
	return v, nil
}

func (c *Column) appendTime(b []byte, t time.Time) []byte {
	if c.Kind == Date {
		return t.AppendFormat(b, dateForm)
	}
	b = t.AppendFormat(b, datetimeForm)
	if c.Digits == 0 {
		return b
	}
	const full = ".000000"
	return t.AppendFormat(b, full[:1+c.Digits]) // zeros in the form cut and do not round
}

// parseDate reads a date with an optional time; the result is in UTC.
func parseDate(s string) (time.Time, bool) {
	s = strings.Trim(s, spaces)
	year, s, ok := number(s, 4, 4)
	month, s, ok2 := numberAfter(s, '-', 12)
	day, s, ok3 := numberAfter(s, '-', 31)
	if !ok || !ok2 || !ok3 || month == 0 || day == 0 {
		return time.Time{}, false
	}
	var clock [3]int
	var nanos, shift int
	if s != "" && (s[0] == ' ' || s[0] == 'T') && s != "T" {
		if clock, nanos, s, ok = parseClock(strings.TrimLeft(s[1:], spaces)); !ok {
			return time.Time{}, false
		}
		if shift, s, ok = parseZone(s); !ok {
			return time.Time{}, false
		}
	}
	t := time.Date(year, time.Month(month), day, clock[0], clock[1], clock[2], nanos, time.UTC)
	if s != "" || t.Day() != day { // the 30th of February became the 2nd of March
		return time.Time{}, false
	}
	t = t.Add(-time.Duration(shift) * time.Minute)
	return t, t.Year() >= 0 && t.Year() <= 9999
}

// The digits of a number that counts as a Unix time: from 1973 to the year 5138. To MySQL eight digits are a date (20240131),
// and twelve or more digits are a date with a time, or milliseconds.
const unixDigitsLeast, unixDigitsMost = 9, 11

// parseUnix reads seconds since 1970, with or without a fraction.
func parseUnix(s string) (time.Time, bool) {
	whole, rest := leadingDigits(strings.Trim(s, spaces))
	if len(whole) < unixDigitsLeast || len(whole) > unixDigitsMost || whole[0] == '0' {
		return time.Time{}, false
	}
	nanos := 0
	if rest != "" && rest[0] == '.' {
		nanos, rest = fraction(rest[1:])
	}
	seconds, err := strconv.ParseInt(whole, 10, 64)
	return time.Unix(seconds, int64(nanos)).UTC(), err == nil && rest == ""
}

// parseClock reads hh[:mm[:ss[.fraction]]].
func parseClock(s string) (clock [3]int, nanos int, rest string, ok bool) {
	limits := [3]int{23, 59, 59}
	if clock[0], s, ok = number(s, 1, 2); !ok || clock[0] > limits[0] {
		return clock, 0, s, false
	}
	for i := 1; i < len(clock) && s != "" && s[0] == ':'; i++ {
		if clock[i], s, ok = numberAfter(s, ':', limits[i]); !ok {
			return clock, 0, s, false
		}
	}
	if s != "" && s[0] == '.' {
		nanos, s = fraction(s[1:])
	}
	return clock, nanos, s, true
}

// parseZone reads Z, ±hh:mm or ±hhmm as minutes east of Greenwich; an empty text is UTC.
func parseZone(s string) (minutes int, rest string, ok bool) {
	if s == "" {
		return 0, s, true
	}
	if s[0] == 'Z' || s[0] == 'z' {
		return 0, s[1:], true
	}
	sign := 1
	switch s[0] {
	case '+':
	case '-':
		sign = -1
	default:
		return 0, s, false
	}
	hours, s, ok := number(s[1:], 2, 2)
	mins, s, ok2 := number(strings.TrimPrefix(s, ":"), 2, 2)
	const furthest = 14 // hours: Line Islands
	if !ok || !ok2 || hours > furthest || mins > 59 {
		return 0, s, false
	}
	return sign * (hours*60 + mins), s, true
}

// number reads least to most digits.
func number(s string, least, most int) (n int, rest string, ok bool) {
	i := 0
	for i < len(s) && i < most && s[i] >= '0' && s[i] <= '9' {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:], i >= least
}

// numberAfter reads the mark and one or two digits, at most limit.
func numberAfter(s string, mark byte, limit int) (n int, rest string, ok bool) {
	if s == "" || s[0] != mark {
		return 0, s, false
	}
	n, rest, ok = number(s[1:], 1, 2)
	return n, rest, ok && n <= limit
}

// fraction reads the digits after a second's point as nanoseconds and ignores digits beyond the microsecond.
func fraction(s string) (nanos int, rest string) {
	digits, rest := leadingDigits(s)
	digits = digits[:min(len(digits), microDigits)]
	n, _ := strconv.Atoi(digits)
	for range 9 - len(digits) {
		n *= 10
	}
	return n, rest
}

// longestTime is the limit of TIME in each direction; a fraction may follow.
const longestTime = 838*time.Hour + 59*time.Minute + 60*time.Second - time.Nanosecond

// checkTime checks TIME: [-]hhh:mm[:ss[.fraction]], a length of time or a time of day.
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

// fractionUnit is the shortest time that a column with these digits of a second can hold.
func fractionUnit(digits int) time.Duration {
	unit := time.Second
	for range digits {
		unit /= 10
	}
	return unit
}

// checkYear checks YEAR: 1901 to 2155 or 0000; one or two digits mean 1970 to 2069.
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
