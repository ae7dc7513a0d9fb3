// Package storetest is the contract of [store.Store] as tests. Every backend runs the whole contract, on its real server.
package storetest
