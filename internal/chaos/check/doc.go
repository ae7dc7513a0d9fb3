// Package check judges recorded histories: did ticketd keep the promises of its documents under faults?
//
// The promises, and so the rules:
//
//   - One host. All operations through a daemon and its spool are linearizable, ticket by ticket: as if each operation
//     happened at a moment between call and return (linear.go). An operation of unknown outcome happened at some moment
//     after the call, or never. A spooled change happened when the client had its answer, as a daemon ingests the change
//     before any later request. An answer marked stale promises only that its values were written.
//   - Several hosts. A host shows all that the same host acknowledged or read before (reads.go), and changes of another
//     host, too, unless a fault may have kept the change in that host's journal or spool: the last to arrive wins, field by
//     field.
//   - A deletion stands: a change of a deleted ticket is refused (answered.go), unless the daemon was without its servers;
//     the change then has no effect.
//   - A ticket has one owner (owners.go): a create gets no id of an existing ticket, whoever made that ticket; no answer
//     mixes the fields of two tickets; a row inserted in SQL keeps the fields that no client changed. While servers were
//     away a create may have got a taken id: the create is then a dead letter, or has a different id according to the log.
//   - A request id stands for one request (answered.go).
//   - Tables of other sites stay unchanged (places.go).
//   - Revisions only grow on each host, in the order of operations that did not overlap, and no two changes of a ticket
//     share a revision, except changes that journals of two hosts acknowledged (revisions.go). A journal's revision may be
//     raised at its arrival in Redis, so overlapping operations may take effect in a different order than their revisions,
//     and a read may show a higher revision.
//   - No answer shows a value that was never written, was written to another ticket or later, or was refused (reads.go).
//   - No id is given twice (owners.go).
//   - A conditional change never overwrites a change that the client has not seen (counters.go): no acknowledged increment
//     of a counter raised by compare and set is lost, wherever changes are acknowledged.
//   - Each PHP page has an answer in time in any outage, and a running daemon answers before the client gives up
//     (answered.go).
//   - The time of creation is that of the first change of any kind (reads.go), whenever the ticket is read or flushed.
//   - A fault of a ticket delays that ticket's changes alone (answered.go).
//   - The feed has an event of each acknowledged change, under the change's revision or with its values, and no other event.
//     First occurrences of a ticket's events ascend, and each names the one before (feed.go). The tickets' history has a row of
//     each change that changed something, and no other row. After the death of a master, one event may stand for several
//     changes. No gap is allowed, as the sites of the suite keep all events.
//   - In the end (final.go) no ticket is dirty, and each field of each ticket holds the last acknowledged value, or a value
//     that may have come later, in the row or, if MySQL refused the change, in a dead letter.
package check
