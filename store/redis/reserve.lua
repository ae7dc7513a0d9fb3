-- Ties a request id to the ticket and the digest of the request.
--
-- KEYS[1]  which ticket the request id stands for
-- KEYS[2]  the digest of its request; earlier versions wrote none
-- ARGV     the ticket id that is proposed, for how many ms the reservation is remembered, the digest
--
-- Returns the reservation that stands, that of the first who proposed one: the ticket id, a space, the digest.
--
-- As text, which has no limit of 2^53. (SET with NX and GET at once would do, but Redis 6.2 has no such thing.)

local id = redis.call('GET', KEYS[1])
if id then
	return id .. ' ' .. (redis.call('GET', KEYS[2]) or '')
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return ARGV[1] .. ' ' .. ARGV[3]
