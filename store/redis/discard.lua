-- Forgets tickets with all that waits of them, as the next place was put back to an older state that is to count.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3…] the tickets' hashes
-- ARGV     per ticket its id
--
-- What is no ticket of ours, as it is no hash or has no _rev, is not touched: something else uses the key.
--
-- Returns how many were forgotten.

local forgotten = 0
for i = 3, #KEYS do
	local id = ARGV[i - 2]
	if redis.pcall('HEXISTS', KEYS[i], '_rev') == 1 then -- an error where something else uses the key
		forgotten = forgotten + redis.call('UNLINK', KEYS[i])
	end
	redis.call('ZREM', KEYS[1], id)
	redis.call('ZREM', KEYS[2], id)
end
return forgotten
