-- Takes a ticket that the next place refuses out of the queue, unless the ticket has changed since.
--
-- KEYS[1]  the partition's dirty index
-- KEYS[2]  the partition's dead letters
-- KEYS[3]  the ticket's hash
-- ARGV     ticket id, the refused revision, now in ms, the letter as JSON, 1 where the ticket's row has vanished or 0
--
-- A Redis out of memory refuses HSET and ZADD where such a command is a script's first write, and no later write, so that no
-- script ends half done (scriptVerifyOOM in Redis' script.c). So the first write is a ZREM of the ticket from the dead letters,
-- which do not have the ticket. Parking needs little memory, and a dead letter that could not be parked would be flushed in vain
-- all the time.
--
-- Returns 1 where the ticket is parked now, 0 where the ticket has changed and stays in the queue.

local id, refused = ARGV[1], ARGV[2]
if redis.pcall('HGET', KEYS[3], '_rev') ~= refused then -- an error where another program uses the key
	return 0
end
redis.call('ZREM', KEYS[2], id)
redis.call('HSET', KEYS[3], '_dead', ARGV[4])
if ARGV[5] == '1' then
	redis.call('HSET', KEYS[3], '_had', '1')
end
redis.call('ZADD', KEYS[2], ARGV[3], id)
redis.call('ZREM', KEYS[1], id)
return 1
