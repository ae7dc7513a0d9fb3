-- Takes a ticket out of the queue that the next place refuses, unless it has changed since.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3]  the ticket's hash
-- ARGV     ticket id, the refused revision, now in ms, the letter as JSON
--
-- Returns 1 where the ticket is parked now, 0 where it has changed and stays in the queue.

local id, refused = ARGV[1], ARGV[2]
if redis.pcall('HGET', KEYS[3], '_rev') ~= refused then -- an error where something else uses the key
	return 0
end
redis.call('HSET', KEYS[3], '_dead', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[3], id)
redis.call('ZREM', KEYS[1], id)
return 1
