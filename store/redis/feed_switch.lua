-- Switches a partition's feed on or off.
--
-- KEYS[1]  the partition's meta hash
-- KEYS[2]  the partition's feed
-- ARGV[1]  how many events the feed may have; 0 switches the feed off
-- ARGV[2…] names and values of the event which says that the feed was off
--
-- The number of the newest event stays, so that numbers go on when the feed is switched on again.

if ARGV[1] == '0' then
	return redis.call('HDEL', KEYS[1], 'feed')
end
local known = redis.call('HMGET', KEYS[1], 'feed', 'feed:n')
redis.call('HSET', KEYS[1], 'feed', ARGV[1])
if known[1] or not known[2] then
	return 0
end
local number = string.format('%.0f', tonumber(known[2]) + 1)
redis.pcall('XADD', KEYS[2], 'MAXLEN', '~', ARGV[1], '*', '_n', number, unpack(ARGV, 2))
return redis.call('HSET', KEYS[1], 'feed:n', number)
