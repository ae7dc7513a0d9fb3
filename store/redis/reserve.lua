-- Ties a request id to the ticket and the digest of the request.
--
-- KEYS[1]  the request id's reservation
-- ARGV     the reservation that is proposed, which is the ticket id, a space, the digest; for how many ms it is remembered
--
-- Returns the reservation that stands, that of the first who proposed one. Earlier versions wrote the ticket id alone.
--
-- As text, which has no limit of 2^53. (SET with NX and GET at once would do, but Redis 6.2 has no such thing.)

local stands = redis.call('GET', KEYS[1])
if stands then
	return stands
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return ARGV[1]
