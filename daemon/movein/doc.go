// Package movein takes over tickets that another program keeps in Redis, a hash per ticket.
//
// A hash under the name of one of the site's own keys is taken over in place, in a single step. Any other hash is read,
// converted and set through the daemon, and stays unchanged. Repeating the import is safe at any time: hashes that are
// ticketd's already are skipped, and an existing ticket with other values is refused, not overwritten, unless the caller
// permits overwriting.
package movein
