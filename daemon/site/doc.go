// Package site serves a WordPress site. The package joins the definition of the site's table, the store, the ids, the sync
// strategy and the flusher behind the methods of the protocol.
//
// # The way of a write
//
// The site checks the fields against the definition of the live table, takes ids from blocks leased ahead, makes the change in
// the store, and tells the flusher the due time. Most writes do not ask MySQL. If the store does not accept the change, the
// answer is unavailable or overloaded: either the change was not made, or the outcome is unknown and a repetition under the same
// request id is safe.
//
// # The way of a read
//
// The store answers for tickets that the store holds whole. Other tickets are completed from MySQL, with a single query for all
// concurrent readers of a ticket, and kept in the store as clean fields. The site remembers for a second that no place holds a
// ticket.
//
// # The way of a list
//
// The site flushes all dirty tickets to MySQL, then asks MySQL. The flush begins after the request came, and all lists that come
// meanwhile share the flush. If flush and query take longer than the request's time, the answer is unavailable.
package site
