// Package pending is the store without a server: what waits, indexed in this process' memory. It keeps the whole contract of
// [store.Store] but durability, so it serves where something else makes the writes durable, and in tests.
package pending
