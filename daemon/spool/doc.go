// Package spool ingests the changes that clients on this host could not deliver: each is one file in its user's folder, written
// by the client, named by its time, renamed into place, and holding one request frame of the protocol.
//
// # Lanes and sites
//
// Each user's folder is a lane, and so is the folder of all of them, where older clients leave their files. A look at a lane
// finds out what its new files are; from then on each waits for its site, or is set aside. A site ingests the files of all lanes
// whose users may use it. Lanes and sites know nothing of each other's trouble.
//
// # States of a file
//
//	written ──rename──> unseen ──look──> waiting ──the site has taken it──> removed
//	                      │                 └── the site cannot take it now ──> held, with its ticket's later files; tried again
//	                      ├── it can never be taken ──> bad/, beside a .reason
//	                      ├── it is not the folder's user's ──> left unread, and counted
//	                      └── its owner keeps it (a lease) ──> looked at again
//
// # Order
//
// A site's files are ingested by order of their names, before the daemon serves its first request, and before it works on any
// request of the site that comes after the file was renamed into place: the kernel queues the news of a rename before the rename
// returns, so a request looks into that queue and takes in what is there. While a ticket's files are held, its changes are
// refused as unavailable, since they must not be applied before older ones, and so are creates and flushes; the client puts them
// into the spool, behind those. Other tickets go on, unless several are refused one after another: then the site is held. Other
// sites go on.
//
// # What happens on failure
//
// A file is removed after the site has acknowledged its change. A daemon that dies in between ingests it again, under the same
// request id, which the site then remembers for a day: nothing is done twice. A create that gets another id is written down
// before (package moves), so that the changes which were acknowledged after it follow it, however long they wait. What cannot be
// used is set aside; when there is no more room for that it stays where it is, and the status says so. Nothing is ever thrown
// away. What waited elsewhere and is older than its ticket is set aside here, too (aside.go). A file that was set aside for that,
// and that an operator moves back, is made to the ticket that has the id: the reason in bad/ tells it from one that is late.
//
// # Folders
//
// A client writes into what it finds at its path, and the daemon reads what it has open. So a request of a site looks whether the
// folders of the site's lanes still stand at their paths, of the same users and with the same modes:
//
//	absent ──made──> open ──cannot be read, another's, open to all──> hidden ──mended──> open
//	                   └──moved away, mounted over──> former, until nothing waits in it; what stands at the path is opened
//
// In an absent folder nothing can wait. A hidden one may hold changes: until it can be read, changes of its sites are refused as
// unavailable, and their files in other lanes wait, too. A former folder is read through its descriptor, and its files keep their
// place in the order. At a start the daemon knows the folder of all users' folders by a mark in it, which the state folder names:
// one that is mounted late is not mistaken for an empty one.
package spool
