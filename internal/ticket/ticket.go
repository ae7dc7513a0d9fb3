// Package ticket holds the domain's words: a ticket's id, the named fields, and the revision that orders changes.
//
// The package knows no wire format, no Redis and no SQL; every other package may depend on package ticket, which depends on
// no other package.
package ticket

import (
	"errors"
	"fmt"
	"strconv"
)

// ID names a ticket of a site: 1 to 2^63-1.
type ID int64

// ErrID is wrapped by every refusal of a ticket id.
var ErrID = errors.New("a ticket id is a whole number from 1 to 9223372036854775807")

// ParseID reads a decimal id and refuses every text outside 1 to 2^63-1, leading signs and zeros included.
func ParseID(s string) (ID, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 1 || strconv.FormatInt(n, 10) != s {
		return 0, fmt.Errorf("%q: %w", s, ErrID)
	}
	return ID(n), nil
}

// Valid says whether the id is in range.
func (id ID) Valid() bool { return id >= 1 }

// Partition is which of n parts of a store the ticket belongs to: 0 to n-1.
func (id ID) Partition(n int) int { return int(int64(id) % int64(n)) } // ids are above zero

func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// Revision orders the changes of a ticket: microseconds since 1970 as proposed by a daemon's hybrid [Clock], raised by the
// store if necessary so that revisions grow. Zero means no revision.
type Revision int64

// MaxRevision is the largest revision that a Redis script can compare exactly: Lua's numbers are doubles. As a time,
// MaxRevision lies in the year 2255.
const MaxRevision Revision = 1<<53 - 1

// Ceiling is the highest revision accepted from outside this program: from a row, a hash, a journal. As a time, Ceiling lies
// in the year 2219, with 2^50 revisions above, so that a single number from another program cannot use up all revisions.
const Ceiling = MaxRevision - 1<<50

// ErrRevision is wrapped by every refusal of a number as a revision.
var ErrRevision = fmt.Errorf("a revision is a whole number from 0 to %d", int64(Ceiling))

// ParseRevision reads a revision from outside. Every revision from outside passes through ParseRevision.
func ParseRevision(s string) (Revision, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > int64(Ceiling) {
		return 0, fmt.Errorf("%.40q: %w", s, ErrRevision)
	}
	return Revision(n), nil
}

func (r Revision) String() string { return strconv.FormatInt(int64(r), 10) }
