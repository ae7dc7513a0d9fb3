-- Forgets tickets with all pending changes, as the operator restored the next place to an older state that is to count.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3…] the tickets' hashes
-- ARGV     per ticket its id
--
-- A key without a ticket, as the key holds no hash or a hash without _rev, stays untouched: another program uses the key.
--
-- Returns how many were forgotten.

local forgotten = 0
for i = 3, #KEYS do
	local id = ARGV[i - 2]
	if redis.pcall('HEXISTS', KEYS[i], '_rev') == 1 then -- an error where another program uses the key
		forgotten = forgotten + redis.call('UNLINK', KEYS[i])
	end
	redis.call('ZREM', KEYS[1], id)
	redis.call('ZREM', KEYS[2], id)
end
return forgotten
