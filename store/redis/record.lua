-- Records under which ticket id a create was acknowledged, in place of what reserve.lua has.
--
-- KEYS[1]  the request id's reservation
-- ARGV     the ticket id, for how many ms it is remembered

return redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
