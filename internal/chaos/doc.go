// Package chaos is the fault suite: clients write and read through real daemons while a nemesis kills, pauses, cuts, slows
// and fills the servers around them; every answer is recorded, and checkers look for violations in the history.
//
//	plan      which faults (plan) and operations (workload) happen when, from the seed alone
//	topology  the servers: one daemon or three, Redis alone, behind sentinels, in a cluster, or no Redis
//	clients   Go clients, and the plugin's client class in PHP-FPM workers, each client sequential
//	stranger  a user on each host with ids, rows and request ids of other users
//	beside    another site, a copy of the table, and a table before which a daemon with the site's folders starts
//	consumer  follows the feed over the socket, from before the first change to the end
//	nemesis   brings the plan's faults to the servers and heals each fault
//	recorder  keeps calls and faults by one clock
//	settle    waits until all changes have arrived, and reads the final places
//
// `make chaos DURATION=10m SEED=7` divides the time among the topologies. The same seed gives the same faults at the same
// times and each client the same operations; the pace of the clients depends on the machine.
package chaos
