// Package protocol is the language between ticketd and its clients: frames, messages, errors and limits, and a small
// client.
//
// SPEC.md beside this file is the definition; the files in testdata are examples of every message, byte for byte,
// which the tests of every client read. The package knows nothing of tickets beyond their shape on the wire and
// depends on no other package of the project.
//
// # Reading
//
//	bytes ──ReadFrame──> payload ──DecodeRequest──> Request ──(*SetParams).Decode──> typed parameters
//
// [ReadFrame] checks version and length. [DecodeRequest] walks the whole payload once, without recursion, and proves
// that it is exactly one msgpack value: whatever is wrong up to here closes the connection. From then on only the
// meaning can be wrong, which is answered and costs the client nothing else.
//
// # Writing
//
// An [Encoder] builds whole frames in a buffer of its own that it reuses; a frame is written with one Write.
package protocol
