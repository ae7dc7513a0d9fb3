-- Records for which ticket and digest a request was acknowledged, in place of the reservation of reserve.lua.
--
-- KEYS and ARGV as in reserve.lua

redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
