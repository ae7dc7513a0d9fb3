-- Sets a destination's cursor, or forgets the destination; its courier loses the right to serve it.
--
-- KEYS     as in feed_own.lua; to forget a destination in the first partition, then its letters
-- ARGV[1]  destination
-- ARGV[2]  the cursor; missing: the destination is forgotten

redis.call('UNLINK', KEYS[1])
if not ARGV[2] then
	if KEYS[3] then
		redis.call('UNLINK', KEYS[3])
	end
	return redis.call('HDEL', KEYS[2], ARGV[1])
end
return redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
