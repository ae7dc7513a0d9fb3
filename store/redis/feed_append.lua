-- Adds events that are not changes to a partition's feed.
--
-- KEYS[1]  the partition's meta hash
-- KEYS[2]  the partition's feed
-- ARGV[1]  how many events follow; then per event the count of names and values, and the names and values
--
-- Returns how many events were added: 0 while the feed is off.

local known = redis.call('HMGET', KEYS[1], 'feed', 'feed:n')
local number = tonumber(known[2]) or 0
if not known[1] then
	return 0
end
local a, added = 1, 0
for _ = 1, tonumber(ARGV[1]) do
	a = a + 1
	local n = tonumber(ARGV[a])
	number, added = number + 1, added + 1
	redis.call('XADD', KEYS[2], 'MAXLEN', '~', known[1], '*', '_n', string.format('%.0f', number), unpack(ARGV, a + 1, a + n))
	a = a + n
end
redis.call('HSET', KEYS[1], 'feed:n', string.format('%.0f', number))
return added
