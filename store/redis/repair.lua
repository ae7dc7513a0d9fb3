-- Brings the dirty index into line with tickets' hashes, which are the truth.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3…] the tickets' hashes
-- ARGV[1]  the due time of added tickets, in ms
-- ARGV[2…] the tickets' ids
--
-- A key that holds no hash has no change of the ticket left, and the ticket counts as clean.
--
-- Returns how many entries were added to the index and how many were removed.

local added, removed = 0, 0
for i = 3, #KEYS do
	local id = ARGV[i - 1]
	local hash = redis.pcall('HMGET', KEYS[i], '_dirty', '_dead')
	if hash.err or not hash[1] then
		removed = removed + redis.call('ZREM', KEYS[1], id) + redis.call('ZREM', KEYS[2], id)
	elseif hash[2] then
		removed = removed + redis.call('ZREM', KEYS[1], id)
		added = added + redis.call('ZADD', KEYS[2], 'NX', ARGV[1], id)
	else
		removed = removed + redis.call('ZREM', KEYS[2], id)
		added = added + redis.call('ZADD', KEYS[1], 'NX', ARGV[1], id)
	end
end
return { added, removed }
