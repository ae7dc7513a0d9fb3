// Package planted proves that the checkers of the fault suite find what the checkers look for. It builds the daemon, and
// copies the plugin's client class, with a single invariant switched off, provokes the fault that the invariant prevents, and
// demands that the recorded history is refused. The sound daemon goes through the same faults, and its history is accepted.
// Some invariants share a daemon, because a build takes longer than the rest of the test: each of these invariants prevents
// different faults.
package planted
