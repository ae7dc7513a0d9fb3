// Package protocol is the language between ticketd and its clients: frames, messages, errors, limits, and a small client.
//
// SPEC.md beside this file is the definition; testdata holds examples of every message, byte for byte, which the tests of
// every client read. The package knows nothing of tickets beyond the shape on the wire.
//
// # Reading
//
//	bytes ──ReadFrame──> payload ──DecodeRequest──> Request ──(*SetParams).Decode──> typed parameters
//
// [ReadFrame] checks version and length. [DecodeRequest] walks the whole payload once, without recursion, and proves that the
// payload is exactly one msgpack value: any error up to here closes the connection. Later errors concern only the meaning;
// the daemon answers and keeps the connection.
//
// # Writing
//
// An [Encoder] builds whole frames in its own reusable buffer; the caller sends a frame with a single Write.
package protocol
