package table

import (
	"fmt"
)

// Rule names the rule that a refused value broke. The names are stable: clients may compare them.
type Rule string

// The rules: a rule for each reason of a refusal.
const (
	RuleUnknown  Rule = "unknown"  // the table has no such column and no column for extra fields
	RuleReserved Rule = "reserved" // the name belongs to ticketd: key, revision, extra column, or a leading "_"
	RuleComputed Rule = "computed" // the table computes the column itself
	RuleRequired Rule = "required" // the column is NOT NULL, has no default, and was not given
	RuleNull     Rule = "null"     // the column is NOT NULL
	RuleLength   Rule = "length"   // too many characters or bytes
	RuleNumber   Rule = "number"   // not a number
	RuleRange    Rule = "range"    // a number, date or time outside of the column's range
	RuleDate     Rule = "date"     // not a date, time or year
	RuleMember   Rule = "member"   // not a member of the ENUM or SET
	RuleJSON     Rule = "json"     // not JSON, or nested too deeply
	RuleEncoding Rule = "encoding" // not UTF-8, or characters that the column's character set lacks
	RuleFormat   Rule = "format"   // an invalid field name
)

// FieldError is the refusal of a field. The error names the value's length or kind, never the value itself, as tickets hold
// customers' words.
type FieldError struct {
	Field  string
	Rule   Rule
	Reason string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("field %q: %s", e.Field, e.Reason)
}
