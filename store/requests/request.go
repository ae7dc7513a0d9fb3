package requests

import (
	"crypto/sha256"
	"hash/fnv"
	"time"

	"github.com/ticketd/ticketd/internal/ticket"
)

// Key stands for a request id: the first 128 bits of the id's SHA-256, so that a client cannot find two ids of one key.
type Key [16]byte

// KeyOf returns the key of a request id.
func KeyOf(id string) Key {
	sum := sha256.Sum256([]byte(id))
	return Key(sum[:len(Key{})])
}

// Digest stands for the text of a mutation's digest. Zero: the digest is not known and equals every digest.
type Digest uint64

// DigestOf returns the digest that stands for a mutation's.
func DigestOf(text string) Digest {
	if text == "" {
		return 0
	}
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(text)) // never fails
	return Digest(max(hash.Sum64(), 1))
}

// Request is a remembered request id with the request's outcome.
type Request struct {
	Key      Key
	Ticket   ticket.ID
	Revision ticket.Revision
	Digest   Digest
	// Expires is when the id is forgotten. A [Table] keeps it in whole seconds, rounded up.
	Expires time.Time
}

// RepeatedBy says whether a mutation under the same request id, with that digest, repeats the request. Otherwise the id was used
// for two requests.
func (r *Request) RepeatedBy(digest string) bool {
	asked := DigestOf(digest)
	return asked == r.Digest || asked == 0 || r.Digest == 0
}
