// Package check judges recorded histories: whether what ticketd did under faults is what its documents promise.
//
// What is promised, and so what is checked:
//
//   - One host. All that goes through one daemon and its spool is linearizable, ticket by ticket: as if each operation happened
//     at one moment between its call and its return (linear.go). An operation of unknown outcome happened at some moment after
//     its call, or never. A spooled change happened when its client had its answer, as a daemon ingests it before it works on any
//     later request. An answer that is marked stale promises only that what it shows was written.
//   - Several hosts. What one host acknowledged or read, it shows from then on (reads.go); what another one did, too, unless a
//     fault may have kept it in that host's journal or spool: the last to arrive wins, field by field.
//   - A deletion stands: a change of a deleted ticket is refused (asked.go), unless its daemon was without its servers; it then
//     has no effect.
//   - A ticket has one owner (owners.go): a create gets no id that a ticket has, whoever made that ticket; no answer shows the
//     fields of two; a row made in SQL keeps the fields that no client changed. While servers were away a create may have got a
//     taken id: it is then a dead letter, or has another id as the log says.
//   - A request id stands for one request (asked.go).
//   - Tables that are not the site's stay as they are (places.go).
//   - Revisions only grow on each host, in the order of the operations that did not overlap, and no two changes of a ticket
//     share one, but for those that journals of two hosts acknowledged (revisions.go). A journal's may be raised when it
//     arrives in Redis, so the effects of operations that did overlap need not come in the order of their revisions, and a read
//     may show a higher one.
//   - Nothing is read that was never written, was written elsewhere or later, or was refused (values.go).
//   - No id is given twice (ids.go).
//   - A conditional change is made over nothing that its client has not seen (counters.go): of counters that are raised by
//     compare and set, whatever acknowledges the changes, no acknowledged increment is lost.
//   - Each PHP page has an answer in time, whatever is away, and a daemon that runs answers before its client gives up
//     (answered.go).
//   - The time of creation is that of the first change (born.go), whichever change it was and whenever it is read or flushed.
//   - What concerns one ticket holds up that ticket's changes alone (held.go).
//   - In the end (final.go) nothing is dirty, and each field of each ticket holds the last acknowledged value, or one
//     that may have come later, in its row or, where MySQL refused it, in a dead letter.
package check
