-- Forgets dead letters with all that their hashes hold.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3…] the tickets' hashes
-- ARGV     per ticket its id
--
-- Returns how many of the tickets were dead letters.

local dropped = 0
for i = 3, #KEYS do
	local id = ARGV[i - 2]
	if redis.pcall('HEXISTS', KEYS[i], '_dead') == 1 then -- an error where something else uses the key
		redis.call('UNLINK', KEYS[i])
		redis.call('ZREM', KEYS[1], id)
		dropped = dropped + 1
	end
	redis.call('ZREM', KEYS[2], id)
end
return dropped
