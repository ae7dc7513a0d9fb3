-- Takes or renews the right to serve a destination in a partition.
--
-- KEYS[1]  who serves the destination: a token that expires
-- KEYS[2]  the partition's cursors (hash: destination, cursor)
-- ARGV     destination, token, for how many ms, how many destinations the partition may have
--
-- Returns the destination's cursor, which is empty for a new destination. Or the error NOTOWNER: another token has the right; or
-- the error DESTINATIONS: there are too many.
--
-- PEXPIRE renews the right also where Redis is out of memory.

local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[2] then
	return redis.error_reply('NOTOWNER another courier serves the destination')
end
local cursor = redis.call('HGET', KEYS[2], ARGV[1])
if not cursor and redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then
	return redis.error_reply('DESTINATIONS are too many')
end
if owner then
	redis.call('PEXPIRE', KEYS[1], ARGV[3])
else
	redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
end
if not cursor then
	redis.call('HSET', KEYS[2], ARGV[1], '')
end
return cursor or ''
