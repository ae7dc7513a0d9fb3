-- Ties a request id to the ticket and the digest of the request.
--
-- KEYS[1]  which ticket the request id stands for
-- KEYS[2]  the digest of the request; earlier versions wrote no digest
-- ARGV     the ticket id that is proposed, for how many ms the reservation is remembered, the digest
--
-- Returns the reservation of the first proposal: the ticket id, a space, the digest.
--
-- The reply is text, which has no limit of 2^53. (One SET with NX and GET would do, but Redis 6.2 refuses NX with GET.)

local id = redis.call('GET', KEYS[1])
if id then
	return id .. ' ' .. (redis.call('GET', KEYS[2]) or '')
end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[2])
return ARGV[1] .. ' ' .. ARGV[3]
