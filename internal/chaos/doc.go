// Package chaos is the fault suite: clients write and read through real daemons while a nemesis kills, pauses, cuts, slows and
// fills what these stand on; what every call said is recorded, and checkers look for what must not be in such a history.
//
//	plan      what is done when, by the seed alone: the faults (plan) and the operations (workload)
//	topology  the servers: one daemon or three, Redis alone, behind sentinels, in a cluster, or none
//	clients   Go clients, and the plugin's client class in PHP-FPM workers, each one call after the other
//	stranger  on each host somebody who uses ids, rows and request ids of others
//	beside    another site, a copy of the table, and a table before which a daemon with the site's folders starts
//	nemesis   befalls the servers with the plan's faults and heals each of them
//	recorder  keeps calls and faults by one clock
//	settle    waits until everything is where it belongs, and reads where that is
//
// `make chaos DURATION=10m SEED=7` divides its time among the topologies. The same seed gives the same faults at the same
// times and each client the same operations; how fast the clients go on is the machine's.
package chaos
