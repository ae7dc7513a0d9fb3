//go:build 386 || arm || mips || mipsle

package only64

// ticketd is made for 64-bit processors: lengths, revisions and ids are ints of 64 bits in many places. On others the build ends
// here, with the reason.
var _ = ticketd_needs_a_64_bit_processor_such_as_amd64_or_arm64
