// Package overload holds tests only: what the daemon does with more than it can do, as a real process between real servers. A
// crowd opens connections far over the limit, asks and does not read, sends byte by byte, and writes fields of a megabyte;
// meanwhile every answer must be a result or `overloaded`, never a time-out, and memory, descriptors and goroutines stay bounded
// and come back. A soak looks for what grows slowly.
//
// The tests are short unless TICKETD_TEST_DURATION says more: `make overload` and `make soak`.
package overload
