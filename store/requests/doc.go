// Package requests remembers request ids and what became of the requests, for the stores that do so in memory. A remembered id
// takes about 75 bytes, however long it is, and nothing in the table is a pointer, so that the garbage collector passes by.
package requests
