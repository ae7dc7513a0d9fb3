-- Records for which ticket and digest a request was acknowledged, in place of what reserve.lua has.
--
-- KEYS[1]  the request id's reservation
-- ARGV     what it is to be, see reserve.lua; for how many ms it is remembered

return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
