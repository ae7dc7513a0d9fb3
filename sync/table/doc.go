// Package table knows what the live tickets table takes: its columns, their kinds and limits, as the database itself
// states them. It refuses at the door what a strict MySQL or MariaDB would refuse later, so that nothing is
// acknowledged that cannot be stored, and it knows no SQL connection: a [Definition] is plain data that is kept on
// disk as JSON, so that a daemon can validate while the database is away.
//
// A value that is accepted is rewritten only where the database would hold another text for it ("007" in an integer
// column is "7"), so that a read shows the same before and after the flush.
//
// Where the two databases differ, or a spelling is a trap, the door is the stricter one: dates are written year first
// with a four-digit year and hyphens, JSON is that of RFC 8259. What only the database can know (CHECK constraints,
// foreign keys, triggers, collations' idea of equal letters) is left to it.
package table
