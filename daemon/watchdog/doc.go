// Package watchdog tells a supervisor that the daemon still works, and tells it nothing when it does not: systemd then ends the
// process and starts another (WatchdogSec=).
//
// # What stuck means
//
// A [Part] of the daemon is stuck when it has not got on for longer than it may take over a single step. A step is one thing
// that has a time-out of its own: a statement to MySQL, a call of Redis, a pause between two tries, a request of a client. So a
// part that waits for a MySQL or a Redis that is away, or hangs, gets on all the same, since each of its tries ends; a restart
// would not bring MySQL back. What is left to be stuck is what a restart does mend: goroutines that wait for each other, a loop
// that has lost its timer, a call that does not come back although its time-out has passed.
//
// A process that the kernel does not let run at all (SIGSTOP, memory that is swapped out) is stuck without any of this: it
// cannot report.
package watchdog
