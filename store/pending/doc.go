// Package pending indexes pending tickets in this process' memory. Its Store keeps the whole contract of [store.Store] except
// durability, and serves as the index of a log that makes the writes durable, and in tests.
package pending
