-- Counts pending tickets that no index names. One script reads the hashes and the indexes: between two reads a change or an ack
-- would make a ticket look lost.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3…] the tickets' hashes
-- ARGV     the tickets' ids
--
-- Returns how many of the tickets are dirty and have no entry.

local lost = 0
for i, id in ipairs(ARGV) do
	if redis.pcall('HEXISTS', KEYS[i + 2], '_dirty') == 1
		and not redis.call('ZSCORE', KEYS[1], id) and not redis.call('ZSCORE', KEYS[2], id) then
		lost = lost + 1
	end
end
return lost
