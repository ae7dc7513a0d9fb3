// Package link is the connection to Redis: a client, a prober, and the words for Redis' errors. The package knows no tickets.
//
//   - client.go makes the client of one server, of a master of sentinels, or of a cluster. The client sends no command twice.
//   - partition.go says in which partition of a cluster a key lies.
//   - watch.go notices that Redis, or a partition of a cluster, goes away and comes back, and that another process took over.
//   - node.go does the same for one node of a cluster.
//   - replies.go bounds the replies before the client makes room for them.
//   - probe.go asks a server to do all that the store's scripts do.
//   - inspect.go tells an operator what to change about a server.
//   - errors.go sorts errors: away, full, refused, or an answer that the store knows.
//
// # What happens on failure
//
//	A command gets no answer       the partition is down: later commands fail at once with [store.ErrUnavailable], and one
//	                               prober asks until the partition answers
//	A partition comes and goes     the partition stays down for up to 2 s each time
//	Redis refuses a command        the prober finds out whether Redis works; until then Redis counts as up or down as before
//	Another process answers        each [TakeOver] callback runs before the first command is sent to that process
//	A reply is beyond the bounds   the connection ends, and the partition is down
package link
