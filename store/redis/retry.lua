-- Puts dead letters back into the queue.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3…] the tickets' hashes
-- ARGV[1]  the due time, in ms
-- ARGV[2…] per ticket the id
--
-- Returns how many of the tickets were dead letters.
--
-- ZADD comes first: a Redis out of memory refuses ZADD before the script has changed the ticket.

local retried = 0
for i = 3, #KEYS do
	local id = ARGV[i - 1]
	if redis.pcall('HEXISTS', KEYS[i], '_dead') == 1 then -- an error where another program uses the key
		redis.call('ZADD', KEYS[1], 'LT', ARGV[1], id)
		redis.call('HDEL', KEYS[i], '_dead')
		retried = retried + 1
	end
	redis.call('ZREM', KEYS[2], id)
end
return retried
