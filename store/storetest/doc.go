// Package storetest is the contract of [store.Store] as tests: every backend runs all of it, on its real server.
package storetest
