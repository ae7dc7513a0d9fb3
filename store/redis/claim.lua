-- Takes due tickets under a lease: later due times hide the tickets.
--
-- KEYS[1]  the partition's dirty index
-- ARGV[1]  now, in ms
-- ARGV[2]  how many at most, 1 to 1,000
-- ARGV[3]  until when the lease runs, in ms
--
-- Returns ticket id and due time (before the lease) of each ticket, earliest first.
--
-- A Redis out of memory refuses ZADD. The claim then stands without a lease: the lease only saves work, and flushing gives memory
-- back.

local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', ARGV[1], 'WITHSCORES', 'LIMIT', 0, ARGV[2])
if #found > 0 then
	local lease = {}
	for i = 1, #found, 2 do
		lease[i], lease[i + 1] = ARGV[3], found[i]
	end
	redis.pcall('ZADD', KEYS[1], 'XX', unpack(lease))
end
return found
