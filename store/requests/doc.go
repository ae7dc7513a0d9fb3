// Package requests remembers request ids and the outcomes of the requests, for stores that do so in memory. A remembered id
// takes about 75 bytes, however long the id is. The table has no pointers, so the garbage collector does not scan the slots.
package requests
