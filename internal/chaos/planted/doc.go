// Package planted proves that the checkers of the fault suite see what they are there for: it builds the daemon, and copies the
// plugin's client class, with one invariant switched off, provokes the fault that the invariant prevents, and demands that the
// recorded history is refused. The sound daemon goes through the same, and its history is accepted. Some invariants share a
// daemon, as a build takes longer than all the rest: each of them prevents faults of its own.
package planted
