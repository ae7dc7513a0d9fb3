package table

import (
	"strconv"
	"strings"

	"github.com/ticketd/ticketd/internal/ticket"
)

// checkMembers judges the types whose values are named by the table.
func (c *Column) checkMembers(v ticket.Value) (ticket.Value, error) {
	if c.Kind == Set {
		return c.checkSet(v)
	}
	return c.checkEnum(v)
}

// checkEnum judges ENUM: a member by its text, or by its position from 1 where no member reads so.
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
	return c.refuse(RuleMember, "not one of the column's %d members", len(c.Members))
}

// checkSet judges SET: members separated by commas, which the database holds once each and in the table's order, or a
// number whose bits are the members.
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
				return c.refuse(RuleMember, "holds what is not one of the column's %d members", len(c.Members))
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
