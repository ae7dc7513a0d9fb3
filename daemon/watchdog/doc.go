// Package watchdog reports to a supervisor while the daemon works, and stops reporting when the daemon is stuck: systemd then
// ends the process and starts another (WatchdogSec=).
//
// # What stuck means
//
// A [Part] of the daemon is stuck if the part has not progressed for longer than a single step may take. A step is any
// operation with its own timeout: a statement to MySQL, a call of Redis, a pause between two tries, a request of a client. So
// a part that waits for an unreachable or hanging MySQL or Redis still progresses, because each try ends; a restart would not
// repair MySQL. A part is stuck only for reasons that a restart repairs: goroutines that wait for each other, a loop that has
// lost its timer, a call that does not return after its timeout.
//
// A process that the kernel does not run at all (SIGSTOP, swapped-out memory) cannot report, and needs no part to be stuck.
package watchdog
