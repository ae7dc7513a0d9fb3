// Package spool takes in the changes that clients on this host could not deliver: each is one file in a folder, written
// by the client, named by its time, renamed into place, and holding one request frame of the protocol.
//
// # States of a file
//
//	written ──rename──> waiting ──the site has taken it──> removed
//	                       │  └── the site cannot take it now ──> held: it and the site's later files, tried again
//	                       └── it can never be taken ──> bad/, beside a .reason
//
// # Order
//
// Files are taken in by order of their names, before the daemon serves its first request, and before it works on any
// request that comes after the file was renamed into place: the kernel queues the news of a rename before the rename
// returns, so a request looks into that queue and takes in what is there. While a site's files are held, its changes are
// refused as unavailable, since they must not be applied before older ones; the client puts them into the spool, behind
// those. Other sites go on.
//
// # What happens on failure
//
// A file is removed after the site has acknowledged its change. A daemon that dies in between takes it in again, under the
// same request id, which the site then remembers for a day: nothing is done twice. What cannot be used is set aside; when
// there is no more room for that it stays where it is, and the status says so. Nothing is ever thrown away.
//
// Without a folder that can be trusted the daemon runs without a spool, says why, and looks again every few seconds.
package spool
