-- Switches a partition's feed on or off.
--
-- KEYS[1]  the partition's meta hash
-- ARGV[1]  how many events the feed may have; 0 switches the feed off
--
-- The number of the newest event stays, so that numbers go on when the feed is switched on again.

if ARGV[1] == '0' then
	return redis.call('HDEL', KEYS[1], 'feed')
end
return redis.call('HSET', KEYS[1], 'feed', ARGV[1])
