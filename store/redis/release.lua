-- Takes back the reservation of a request that was refused, so that its id may be used again.
--
-- KEYS     as in reserve.lua
-- ARGV     the ticket id and the digest that the reservation is known to have: another is left alone

if redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('GET', KEYS[2]) == ARGV[2] then
	redis.call('DEL', KEYS[1], KEYS[2])
end
return 0
