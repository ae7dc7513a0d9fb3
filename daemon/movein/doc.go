// Package movein takes over the tickets that another program keeps in Redis, one hash for each.
//
// A hash that has the name of one of the site's own keys is taken over where it lies, in one step. Any other is read, converted
// and set through the daemon, and stays where it is. Running it again is safe at any time: what is ticketd's by then is passed
// over, and a ticket that already exists with other values is refused, not overwritten, unless the caller asks for that.
package movein
