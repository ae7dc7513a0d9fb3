// Package overload holds only tests: the daemon under more load than it can handle, as a real process between real servers. A
// crowd opens connections far above the limit, sends requests without reading replies, sends byte by byte, and writes fields
// of a megabyte; meanwhile every answer must be a result or `overloaded`, never a time-out, and memory, descriptors and
// goroutines stay bounded and return to the start. A soak looks for slow growth.
//
// The tests are short unless TICKETD_TEST_DURATION is longer: `make overload` and `make soak`.
package overload
