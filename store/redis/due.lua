-- Changes due times of tickets in the dirty index.
--
-- KEYS[1]  the partition's dirty index
-- ARGV     the arguments of ZADD: the options, then score and member of each ticket
--
-- A Redis out of memory refuses ZADD: then no lease can be given or given back, as claim.lua says.

redis.pcall('ZADD', KEYS[1], unpack(ARGV))
return 1
