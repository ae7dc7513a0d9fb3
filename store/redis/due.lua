-- Changes due times of tickets in the dirty index.
--
-- KEYS[1]  the partition's dirty index
-- ARGV     what ZADD takes: its options, then score and member of each
--
-- A Redis out of memory refuses ZADD: then there is no lease to be given or to be given back, as claim.lua says.

redis.pcall('ZADD', KEYS[1], unpack(ARGV))
return 1
