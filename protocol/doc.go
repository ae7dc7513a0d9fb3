// Package protocol is the language between ticketd and its clients: frames, messages, errors, limits, and a small client.
//
// SPEC.md beside this file is the definition; testdata holds examples of every message, byte for byte, which the tests of every
// client read. The package knows nothing of tickets beyond the shape on the wire.
//
// # Reading
//
//	bytes ──ReadFrame──> payload ──DecodeRequest──> Request ──(*SetParams).Decode──> typed parameters
//
// [ReadFrame] checks version and length. [DecodeRequest] walks the whole payload once, without recursion, and proves that the
// payload is exactly one msgpack value: any error up to here closes the connection. Later errors concern only the meaning; the
// daemon answers and keeps the connection.
//
// # Writing
//
// An [Encoder] builds whole frames in its own reusable buffer; the caller sends a frame with a single Write.
//
// # Calling
//
// [Open] returns a [Client] for a service: it connects by itself, and again after the daemon has closed an idle connection or was
// restarted. [Dial] returns one for a single connection.
//
// # Stability
//
// The protocol keeps its version, 1, as long as a client of today works with the daemon of tomorrow: methods, optional
// parameters, keys of results and error codes are added, none changes its meaning. A client must ignore keys that it does not
// know, and treat a code that it does not know by the error's retryable and closing. An older daemon refuses a parameter that it
// does not know as invalid. docs/api.md says the same of the PHP functions, hooks and REST.
//
// The Go API is [Client], the parameters and results of its methods, [Error] with its codes, and the limits; until version 1.0 of
// the module it may change with a new minor version, which CHANGELOG.md then says. Frames, encoder and decoding are exported for
// the daemon and for proxies, and may change with any version.
package protocol
