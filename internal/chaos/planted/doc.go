// Package planted proves that the checkers of the fault suite see what they are there for: it builds the daemon with one of its
// invariants switched off, provokes the fault that the invariant prevents, and demands that the recorded history is refused.
// The sound daemon goes through the same, and its history is accepted.
package planted
