// Package spool ingests the changes that clients on this host could not deliver. Each change is a file in its user's folder,
// written by the client, named by the time, renamed into place. The file holds a single request frame of the protocol.
//
// # Lanes and sites
//
// Each user's folder is a lane, and so is the base, the folder of all users' folders, where older clients leave their files.
// A look at a lane sorts the lane's new files: each file then waits for its site, or is set aside. A site ingests the files
// of all lanes whose users may use the site. Trouble in a lane or a site does not touch other lanes and sites.
//
// # States of a file
//
//	written ──rename──> unseen ──look──> waiting ──the site took the change──> removed
//	                      │                 └── the site cannot take it now ──> held, with its ticket's later files; retried
//	                      ├── no site can ever take it ──> bad/, beside a .reason
//	                      ├── not owned by the folder's user ──> left unread, and counted
//	                      └── its owner keeps it (a lease) ──> looked at again
//
// # Order
//
// A site's files are ingested by order of their names, before the daemon serves its first request, and before any request of
// the site that comes after the file's rename: the kernel queues the notice of a rename before the rename returns, so each
// request reads that queue first and ingests the new files.
//
// While a ticket's files are held, the ticket's changes are refused as unavailable, because they must not overtake older
// changes. Creates and flushes are refused, too. The client puts refused changes into the spool, behind the held files. Other
// tickets go on, unless several tickets in a row are refused: then the whole site is held. Other sites always go on.
//
// # What happens on failure
//
// A daemon that dies between the site's acknowledgement and the removal of the file ingests the file again, under the same
// request id. The site remembers the id for a day, so the change is made once. A create that gets another id is recorded on
// disk first (package moves): changes acknowledged after the create follow the create to its new id, however long they wait.
//
// A file that no site can use is set aside in bad/. If bad/ is full, the file stays in place, and the status reports the
// file. No file is ever thrown away. The daemon also sets aside here changes from other places that are older than their
// ticket (aside.go). If an operator moves such a file back, its change is made to the ticket that has the id now: the reason
// in bad/ distinguishes the file from a late file.
//
// # Folders
//
// A client writes into the folder at its path, and the daemon reads the folder that is open. So each request of a site checks
// that the folders of the site's lanes still stand at their paths, with the same owners and modes:
//
//	absent ──made──> open ──unreadable, of another owner, open to all──> hidden ──repaired──> open
//	                   └──moved away, mounted over──> former, until no file waits there; the folder at the path is opened
//
// No file can wait in an absent folder. A hidden folder may hold changes: until the folder is readable, changes of its sites
// are refused as unavailable, and the sites' files in other lanes wait, too. A former folder is read through its descriptor,
// and its files keep their place in the order. At a start the daemon recognizes the base by a mark file whose content the
// state file repeats: an empty mount point does not pass for a base that is mounted late.
//
// A folder may be let go of at any time, also while its files are ingested. From then until each site has its new lanes no
// request goes ahead, and a pass that began earlier ends before its next file: the request begins another pass.
package spool
