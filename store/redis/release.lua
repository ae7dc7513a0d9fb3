-- Takes back the reservation of a request that was refused, so that its id may be used again.
--
-- KEYS     as in reserve.lua
-- ARGV     the ticket id and the digest that the reservation is known to have (earlier versions wrote no digest): another is
--          left alone

local asked = redis.call('GET', KEYS[2])
if redis.call('GET', KEYS[1]) == ARGV[1] and (not asked or asked == ARGV[2]) then
	redis.call('DEL', KEYS[1], KEYS[2])
end
return 0
