-- Ties the request id of a create to the ticket that it makes.
--
-- KEYS[1]  the request id's reservation
-- ARGV     the ticket id that is proposed, for how many ms the reservation is remembered
--
-- Returns the ticket id that stands: that of the first who proposed one.
--
-- As text, which has no limit of 2^53. (SET with NX and GET at once would do, but Redis 6.2 has no such thing.)

local stands = redis.call('GET', KEYS[1])
if stands then
	return stands
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
