// Package site is one WordPress as the daemon serves it: its table's definition, its store, its ids, its strategy and
// its flusher, behind the methods of the protocol.
//
// # The way of a write
//
// The fields are checked against the definition of the live table; ids come from blocks leased ahead; the store makes
// the change and the flusher is told when it is due. MySQL has no part in it. What the store does not take is answered
// unavailable or overloaded, and nothing was changed, or it is not known whether and a repetition under the same
// request id is safe.
//
// # The way of a read
//
// The store answers for tickets that it holds whole. Those that it holds in part, or not at all, are completed from
// MySQL, one query for any number of readers of the same ticket, and kept in the store as clean fields. That no place
// holds a ticket is remembered for a second.
//
// # The way of a list
//
// What is dirty is brought to MySQL, by a flush that begins after the request came and that all who ask meanwhile
// share; then MySQL is asked. Both within the request's time, or the answer is unavailable.
package site
